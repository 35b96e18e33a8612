"""The calls about the service itself: whether it lives, whether it is ready, and its contract."""

from pathlib import Path

from postgres.errors import DatabaseUnavailable, SchemaNotCurrent
from web.answer import Answer, conditional, json_answer, tagged_answer
from web.request import Request

OPENAPI = Path(__file__).resolve().parents[1] / "openapi.yaml"


def health(request: Request) -> Answer:
    """`GET /healthz`: the process lives. It asks nobody."""
    return json_answer(200, {"status": "ok"})


def readiness(request: Request) -> Answer:
    """`GET /readyz`: a request that needs the database would be answered. Raises DatabaseUnavailable."""
    try:
        request.database.check_ready()
    except SchemaNotCurrent:
        raise
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(f"{error} If it lasts, check PostgreSQL and DATABASE_URL.") from error.__cause__
    return json_answer(200, {"status": "ok"})


def contract(request: Request) -> Answer:
    """`GET /openapi.yaml`."""
    return conditional(request, tagged_answer(OPENAPI.read_bytes(), "application/yaml"))
