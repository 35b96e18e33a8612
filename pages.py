"""Pages that a process keeps, each proved fresh by the request for it: a read after a 201 always shows that comment.

With the rows of a page, PostgreSQL is asked for the snapshot under which it reads them, and the answer's bytes are kept
with its name. The next request for the page asks for the snapshot and, in one statement, for the rows if that differs.

- The same snapshot means the same rows. pg_current_snapshot() names every transaction that had not ended when the
  statement began (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT). One that has
  written something since has ended since, and the name is another. Any write to any table makes it another, too often
  rather than too seldom.
- It proves nothing on a hot standby, where two snapshots of one name may differ by a row, nor where Citus has the table
  on other machines: there it is null, and nothing is kept.
- A snapshot is one server's, and until its next crash: then it gives numbers of transactions that were never on disk
  again. So what is kept belongs to one connection and goes with it; and since behind PgBouncer that may change the
  server, or outlive a crash of it, the time at which the server started and the process that answers stand beside it.
- At most KEPT_PAGES are kept with a connection, of KEPT_BYTES at most.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from connections import Connections

KEPT_PAGES = 32
KEPT_BYTES = 100_000

# Every function in it is STABLE: evaluated once, and the same for the whole statement.
SNAPSHOT = (
    "CASE WHEN current_setting('citus.version', true) IS NULL AND current_setting('in_hot_standby', true) = 'off'"
    " THEN pg_current_snapshot()::text || ' ' || pg_postmaster_start_time() || ' ' || pg_backend_pid() END"
)


class Page(NamedTuple):
    """An answer's content, and the headers that come from it: ETag, Cache-Control and perhaps Link."""

    content: bytes
    headers: list[tuple[str, str]]

    @property
    def tag(self) -> str:
        """The entity tag, without its quotes."""
        return self.headers[0][1].strip('"')


class Kept(NamedTuple):
    """A page, and the snapshot under which its rows were read."""

    snapshot: str
    page: Page


Rows = list[tuple[Any, ...]]


def fresh_page(
    connections: Connections,
    execute: Callable[[str, Sequence[object]], Rows],
    statement: str,
    parameters: Sequence[object],
    render: Callable[[Rows], Page],
) -> Page:
    """What `render` makes of the statement's rows, or has made of the same rows before."""
    key = (statement, *parameters)
    kept: Kept | None = connections.memory().get(key)
    rows = execute(
        f"SELECT snapshot.name, page.* FROM (SELECT {SNAPSHOT} AS name) snapshot"
        f" LEFT JOIN ({statement}) page ON (snapshot.name = %s) IS NOT TRUE ORDER BY page.id",
        (*parameters, kept.snapshot if kept else None),
    )
    snapshot = rows[0][0]
    if kept is not None and kept.snapshot == snapshot:  # then there are no rows
        return kept.page
    page = render([row[1:] for row in rows if row[1] is not None])
    if snapshot is not None and len(page.content) <= KEPT_BYTES:
        memory = connections.memory()  # of the connection that was asked: it may be a new one
        memory.pop(key, None)
        memory[key] = Kept(snapshot, page)
        if len(memory) > KEPT_PAGES:
            del memory[next(iter(memory))]
    return page
