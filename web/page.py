"""What the pages of moderators have in common: templates, messages, errors, and the files that belong to them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import NotFound

from web.answer import Answer, Headers, conditional, tagged_answer, unstored_answer
from web.errors import Problem
from web.request import Request

HERE = Path(__file__).parent
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
STATIC = {path.name: tagged_answer(path.read_bytes(), TYPES[path.suffix]) for path in (HERE / "static").iterdir()}


def written_time(value: str) -> str:
    """A time of the API, for people: 23 Nov 2026, 08:10 UTC. admin.js then shows it in the reader's time zone."""
    return f"{datetime.fromisoformat(value).astimezone(UTC):%-d %b %Y, %H:%M} UTC"


templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters["time"] = written_time


def render(template: str, status: int = 200, headers: Iterable[tuple[str, str]] = (), **values: object) -> Answer:
    """A page that no cache stores. `values` are those of the template."""
    body = templates.get_template(template).render(**values).encode("utf-8", "replace")
    return unstored_answer(status, body, [*headers], "text/html; charset=utf-8")


def see_other(location: str, headers: Headers | None = None) -> Answer:
    """A redirect after a form. `location` is a path of ours, in ASCII."""
    return Answer(303, [("Location", location), ("Cache-Control", "no-store"), *(headers or [])], b"")


def error_page(problem: Problem) -> Answer:
    """An error below /admin, as a page."""
    title = HTTPStatus(problem.status).phrase
    sentence = "There is no such page." if problem.status == 404 else problem.sentence
    return render("error.html", problem.status, problem.headers, title=title, sentence=sentence)


def static_file(request: Request, name: str) -> Answer:
    """`GET /admin/static/NAME`. Raises NotFound."""
    if name not in STATIC:
        raise NotFound
    return conditional(request, STATIC[name])
