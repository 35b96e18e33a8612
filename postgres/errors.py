"""What an error of PostgreSQL means for the request: its SQLSTATE decides.

https://www.postgresql.org/docs/current/errcodes-appendix.html lists the SQLSTATEs.
"""

import re

import psycopg2

AWAY = "The database does not answer; try again later."
REFUSED = "The database refused the connection; the log says why."
SLOW = "The database took too long; try again later."

# Temporary errors: the beginning of the SQLSTATE, and the sentence for clients.
UNAVAILABLE = {
    "08": AWAY,  # connection exception
    "57P": AWAY,  # shut down, crashed or starting up
    "53": "The database is full or has no connection left; try again later.",  # insufficient resources
    "40": "The database could not do this beside other requests; try again later.",  # transaction rollback
    "57014": SLOW,  # query canceled, by the server's timeout
    "55P03": SLOW,  # lock not available
    "25006": "The database is read-only for now; try again later.",  # read-only SQL transaction
    "42501": "The service lacks a right in the database; the log says which.",  # insufficient privilege
}

# libpq gives no SQLSTATE to a connection that it could not open, or that it lost.
CONNECTION_EXCEPTION = "08000"

# What libpq says where the server has refused the connection: a wrong password, a database that is not there. A
# host stands before it (hosts.py). Where none does, the server has ended a connection.
REFUSAL = re.compile(": FATAL: |no password supplied")

# Feature not supported, and the function of PostgreSQL that says so of an unlogged table on a standby. The message may
# be in any language.
NOT_ON_STANDBY = ("0A000", "get_relation_info")

# A table or a column that a statement names is not there: not yet.
UNDEFINED = ("42P01", "42703")


class InvalidDatabaseURL(ValueError):
    """libpq can't read the URL. The text is the name of the parameter that is not valid, or it is empty.

    libpq's own message repeats the URL, with its password.
    """


class DatabaseUnavailable(Exception):
    """A temporary failure of the database. The text is for clients; the cause is for the log."""


class SchemaNotCurrent(DatabaseUnavailable):
    """A migration that this release needs is not applied."""

    def __init__(self) -> None:
        super().__init__("The database schema is not current: run `flask migrate`.")


def is_rolled_back(error: psycopg2.Error) -> bool:
    """Whether PostgreSQL has refused the statement, so that nothing of it is stored.

    If the connection was lost, or no answer came in time, it may be stored all the same.
    """
    return error.pgcode is not None and not error.pgcode.startswith(("08", "57P"))


def translate(error: psycopg2.Error) -> DatabaseUnavailable | None:
    """The exception that a temporary error means. None for any other error, which is a fault of the service."""
    state = error.pgcode or (CONNECTION_EXCEPTION if isinstance(error, psycopg2.OperationalError) else "")
    if state == CONNECTION_EXCEPTION and REFUSAL.search(str(error)):
        return DatabaseUnavailable(REFUSED)
    if (state, error.diag.source_function) == NOT_ON_STANDBY:
        state = "25006"
    if state in UNDEFINED:
        return SchemaNotCurrent()
    for prefix, sentence in UNAVAILABLE.items():
        if state.startswith(prefix):
            return DatabaseUnavailable(sentence)
    return None
