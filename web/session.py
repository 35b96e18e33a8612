"""Sessions on the pages of moderators: cookies, the CSRF token of each form, signing in and out."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

from itsdangerous import BadData, BadSignature, Signer, TimestampSigner, URLSafeTimedSerializer
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import Forbidden
from werkzeug.http import dump_cookie, parse_cookie

from config import Limit
from moderation.database import QUEUE
from web.answer import Answer
from web.client import client_of
from web.page import render, see_other
from web.request import Request

SESSION = 12 * 60 * 60  # seconds until a moderator has to sign in again
ATTEMPTS = Limit(10, 60)  # to sign in, from one address
MAX_COOKIE = 3_500  # bytes; browsers take 4,096 with its attributes
DONE = 60  # seconds for which a page may say what was done

# The cookie of a session has a secret and the time when it began, signed with a key made of the ADMIN_TOKEN: a new
# token ends all sessions. The cookie of the form for signing in has a secret only. It isn't signed: with a signature,
# anybody could guess the ADMIN_TOKEN offline, without a limit.
COOKIE, FORM_COOKIE, DONE_COOKIE = "comments-admin", "comments-admin-form", "comments-admin-done"
SECRET = re.compile("[A-Za-z0-9_-]{22}")
SIGNED: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}

# Where a moderator goes on after signing in: one of our pages, with a query.
PAGE = re.compile(r"/admin(/rules|/closed-threads)?(\?[!-\[\]-~]*)?")

OLD_FORM = "This form is too old, or it is not one of ours. Load the page again, and repeat what you did."
NO_COOKIE = "The form was too old, or your browser does not accept cookies. Please try again."
WRONG_TOKEN = "This is not the ADMIN_TOKEN of this service."  # noqa: S105


class Done(NamedTuple):
    """What the page after a decision says.

    `undo` has the status that the comments had, and their marks (web/admin.py). `at` is the id of the last of them.
    `last` is the id of the last comment of the page where the decision was made.
    """

    text: str
    undo: tuple[str, Sequence[str]] | None = None
    at: int | None = None
    last: int | None = None


class Visit(NamedTuple):
    """A request of a moderator who is signed in. `secret` is that of the session. `form` is empty without a form."""

    request: Request
    secret: str
    form: "MultiDict[str, str]"

    def render(self, template: str, status: int = 200, **values: object) -> Answer:
        """A page with the number of comments that wait, and what was done before. Raises DatabaseUnavailable."""
        done = read_done(self.request)
        waiting = self.request.moderation.count_pending()
        return render(
            template,
            status,
            [cookie(self.request, DONE_COOKIE, "", 0)] if done else [],
            csrf=form_token(self.secret),
            done=done,
            waiting=f"{waiting:,}+" if waiting == QUEUE else str(waiting),
            **values,
        )

    def done(self, location: str, done: Done) -> Answer:
        """Redirect to this page of ours, which then says what was done."""
        value = dones(self.request).dumps(done)
        if len(value) > MAX_COOKIE:
            value = dones(self.request).dumps(done._replace(undo=None))
        return see_other(location, [cookie(self.request, DONE_COOKIE, str(value), DONE)])


def for_moderators(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Let only moderators who are signed in see a page, and refuse forms of other sites."""

    def answer(request: Request) -> Answer:
        secret = find_session(request)
        if secret is None:
            here = request.path + f"?{request.environ['QUERY_STRING']}".rstrip("?")
            if request.method == "GET" and request.header("Sec-Fetch-Site") == "cross-site":
                return render("again.html", here=here)  # a link of another site, where browsers leave the cookie out
            return see_other(f"/admin/sign-in?next={quote(here, safe='')}")
        form: MultiDict[str, str] = MultiDict()
        if request.method == "POST":
            form = request.form()
            if not is_form_token(secret, form.get("csrf", "")):
                raise Forbidden(OLD_FORM)
        return function(Visit(request, secret, form))

    return answer


def show_sign_in(request: Request) -> Answer:
    """`GET /admin/sign-in`."""
    if find_session(request) is not None:
        return see_other("/admin")
    return sign_in_page(request, 200, None)


def sign_in(request: Request) -> Answer:
    """`POST /admin/sign-in`. The right token counts as an attempt too: otherwise a guess above the limit could succeed.

    Raises HTTPException and DatabaseUnavailable.
    """
    form = request.form()
    if not any(is_form_token(secret, form.get("csrf", "")) for secret in form_secrets(request)):
        return sign_in_page(request, 400, NO_COOKIE)
    address = client_of(request.environ, request.config.trusted_proxies)
    if seconds := request.moderation.take_limit("sign-in", address, ATTEMPTS):
        sentence = f"There were too many attempts from your address. Try again in {seconds} s."
        return sign_in_page(request, 429, sentence, [("Retry-After", str(seconds))])
    given = form.get("token", "").strip().encode("utf-8", "replace")
    if not hmac.compare_digest(given, token_of(request).encode()):
        return sign_in_page(request, 403, WRONG_TOKEN)
    value = sessions(request).sign(new_secret()).decode()
    return see_other(next_page(request), [cookie(request, COOKIE, value, SESSION)])


@for_moderators
def sign_out(visit: Visit) -> Answer:
    """`POST /admin/sign-out`: the browser forgets its session."""
    return see_other("/admin/sign-in", [cookie(visit.request, COOKIE, "", 0)])


def sign_in_page(
    request: Request, status: int, sentence: str | None, headers: Sequence[tuple[str, str]] = ()
) -> Answer:
    secret = next(form_secrets(request), None) or new_secret()
    action = f"/admin/sign-in?next={quote(next_page(request), safe='')}"
    return render(
        "sign-in.html",
        status,
        [*headers, cookie(request, FORM_COOKIE, secret, None)],
        csrf=form_token(secret),
        sentence=sentence,
        action=action,
    )


def next_page(request: Request) -> str:
    """The page to show after signing in: one of ours, never another site."""
    given = request.query().get("next", "")
    return given if PAGE.fullmatch(given) else "/admin"


def find_session(request: Request) -> str | None:
    """The secret of the session, or None if there is none, or if it has ended."""
    for value in cookies(request, COOKIE):
        with suppress(BadSignature):
            return sessions(request).unsign(value, max_age=SESSION).decode()
    return None


def form_secrets(request: Request) -> "filter[str]":
    """The secrets of forms for signing in that this browser has sent, as cookies."""
    return filter(SECRET.fullmatch, cookies(request, FORM_COOKIE))


def read_done(request: Request) -> Done | None:
    """What was done by the form before this page, or None."""
    for value in cookies(request, DONE_COOKIE):
        with suppress(BadData):
            return Done(*dones(request).loads(value, max_age=DONE))
    return None


def new_secret() -> str:
    """16 bytes that nobody can guess."""
    return secrets.token_urlsafe(16)


def form_token(secret: str) -> str:
    """A CSRF token for a form. It differs each time, so compressing the page does not reveal the secret (BREACH)."""
    return Signer(secret, salt="form", **SIGNED).sign(secrets.token_urlsafe(8)).decode()


def is_form_token(secret: str, token: str) -> bool:
    """Whether this token was made with this secret."""
    return Signer(secret, salt="form", **SIGNED).validate(token.encode("utf-8", "replace"))


def sessions(request: Request) -> TimestampSigner:
    return TimestampSigner(token_of(request), salt="session of /admin", **SIGNED)


def dones(request: Request) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(token_of(request), salt="done on /admin", signer_kwargs=SIGNED)


def token_of(request: Request) -> str:
    """The ADMIN_TOKEN. Without it, there are no pages."""
    return request.config.admin_token or ""


def cookies(request: Request, name: str) -> list[str]:
    """The values of all cookies of this name. Another site of the same domain may have set some of them."""
    return parse_cookie(request.environ).getlist(name)


def cookie(request: Request, name: str, value: str, seconds: int | None) -> tuple[str, str]:
    """The header that sets a cookie, for so many seconds, or until the browser is closed."""
    is_secure = request.is_https
    header = dump_cookie(name, value, seconds, path="/admin", secure=is_secure, httponly=True, samesite="Strict")
    return "Set-Cookie", header
