"""The calls about the service itself: whether it lives, whether it is ready, and its contract."""

import logging
import time
from pathlib import Path
from weakref import WeakSet

from db import CommentDatabase
from postgres.errors import DatabaseUnavailable, SchemaNotCurrent
from web.answer import Answer, conditional, json_answer, tagged_answer
from web.errors import with_cause
from web.request import Request

log = logging.getLogger("comments")

START_INTERVAL = 1  # seconds between two looks at a database that is not ready at the start

# The databases of this process for which the last /readyz was a 503.
not_ready: WeakSet[CommentDatabase] = WeakSet()

OPENAPI = Path(__file__).resolve().parents[1] / "openapi.yaml"


def health(request: Request) -> Answer:
    """`GET /healthz`: the process lives. It asks nobody."""
    return json_answer(200, {"status": "ok"})


def readiness(request: Request) -> Answer:
    """`GET /readyz`: a request that needs the database would be answered. Raises DatabaseUnavailable.

    A 503 is logged like every 503. The first 200 after it is logged too.
    """
    try:
        check_ready(request.database)
    except DatabaseUnavailable:
        not_ready.add(request.database)
        raise
    if request.database in not_ready:
        not_ready.remove(request.database)
        log.info("Ready again.")
    return json_answer(200, {"status": "ok"})


def check_ready(database: CommentDatabase) -> None:
    """Return if the database answers and its schema is current. Raises DatabaseUnavailable, with what to do."""
    try:
        database.check_ready()
    except SchemaNotCurrent:
        raise
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(f"{error} If it lasts, check PostgreSQL and DATABASE_URL.") from error.__cause__


def log_start(database: CommentDatabase, hint: str) -> None:
    """Log why the service is not ready, once for each reason, and return when it has logged that it is ready."""
    logged = ""
    while True:
        try:
            check_ready(database)
        except Exception as error:
            if str(error) != logged:
                logged = str(error)
                log.warning("Not ready: %s", with_cause(error))
            time.sleep(START_INTERVAL)
        else:
            log.info("Ready.%s", hint)
            return


def contract(request: Request) -> Answer:
    """`GET /openapi.yaml`."""
    return conditional(request, tagged_answer(OPENAPI.read_bytes(), "application/yaml"))
