"""Pages that a process keeps, each proved fresh by the request for it: a read after a 201 always shows that comment.

With the rows of a page, PostgreSQL is asked for the snapshot under which it reads them, and the answer's bytes are kept
with both. The next request for the page asks for the name of the snapshot only. If it differs, it asks for the rows; if
these are the same, since what has changed was elsewhere, so are the bytes that they make.

- The same snapshot means the same rows. pg_current_snapshot() names every transaction that had not ended when the
  statement began (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT). One whose rows
  show since has ended since, and the name is another. The end of any that has written to any table makes it another:
  too often rather than too seldom.
- It proves nothing on a hot standby, where two snapshots of one name may differ by a row, nor where Citus has the table
  on other machines: there nothing is kept. (Where the table is a foreign one, PAGE_CACHE=off is needed.)
- A snapshot is one server's, and until its next crash: then it gives numbers of transactions that were never on disk
  again. So what is kept belongs to one connection and goes with it. Behind PgBouncer that may outlive a crash, after
  which another process answers, or change the server: so the process and the time when the server started are part of
  the name.
- At most KEPT_PAGES are kept with a connection, of KEPT_BYTES at most: with their rows, which may take four times as
  much, 8 MB. The one that nobody has asked for the longest goes first. An empty one is not kept: reading is as cheap.

Two statements, since one that reads the rows only where the name differs (a LEFT JOIN) is planned in full for nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from connections import Connections

KEPT_PAGES = 32
KEPT_BYTES = 50_000

# The name of the snapshot, and no row where it proves nothing. Every function in it is STABLE: the same for all of a
# statement.
SNAPSHOT = (
    "SELECT concat_ws(' ', pg_current_snapshot(), pg_postmaster_start_time(), pg_backend_pid())"
    " WHERE current_setting('citus.version', true) IS NULL AND current_setting('in_hot_standby', true) = 'off'"
)


class Page(NamedTuple):
    """An answer's content, its entity tag, in quotes, and the path of the next page, if there is one."""

    content: bytes
    etag: str
    next_path: str | None


Rows = list[tuple[Any, ...]]


class Kept(NamedTuple):
    """A page, the rows that it was made of, and the snapshot under which they were read."""

    snapshot: str
    rows: Rows
    page: Page


def fresh_page(
    connections: Connections,
    execute: Callable[[str, Sequence[object]], Rows],
    statement: str,
    parameters: Sequence[object],
    render: Callable[[Rows], Page],
) -> Page:
    """What `render` makes of the statement's rows, or has made of the same rows before.

    The first column of the statement is (SNAPSHOT), null where it proves nothing; `render` gets the others, and makes
    the same of the same rows of a statement and its parameters, always.
    """
    key = (statement, *parameters)
    kept: Kept | None = connections.memory().pop(key, None)
    if kept is not None and execute(SNAPSHOT, ()) == [(kept.snapshot,)]:
        connections.memory()[key] = kept  # the last to go
        return kept.page
    found = execute(statement, parameters)
    rows = [row[1:] for row in found]
    page = kept.page if kept is not None and kept.rows == rows else render(rows)
    snapshot: str | None = found[0][0] if found else None
    if snapshot is not None and len(page.content) <= KEPT_BYTES:
        memory = connections.memory()  # of the connection that was asked: it may be a new one
        memory[key] = Kept(snapshot, rows, page)
        if len(memory) > KEPT_PAGES:
            del memory[next(iter(memory))]
    return page
