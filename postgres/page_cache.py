"""Pages that a process keeps. The request for a page proves that it is fresh: a read after a 201 shows that comment.

A page is kept with the name of the snapshot under which PostgreSQL read its rows. The next request for it asks for the
name of the snapshot only. The same name means the same rows. If the name differs, the rows are read again; if they are
the same, since the change was elsewhere, the page is the same object as before, with all that was made of it.

- Why the same name means the same rows: pg_current_snapshot() names every transaction that had not ended when the
  statement began (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT). A transaction
  that shows in other rows has ended since, so the name is another. The end of any transaction that wrote to any table
  changes the name: too often rather than too seldom.
- A name belongs to one connection. A crash of the server gives numbers of transactions again that were never on disk,
  so a name must not outlive the connection that read it. Behind PgBouncer a client's connection may outlive a crash or
  change its server, so the server's process and the time of its start are part of the name.
- The page itself may be shared by all connections of the process, each with its own name of a snapshot for it.
- Nothing is kept where a name proves nothing: on a hot standby, where two snapshots of one name may differ by a row,
  and on Citus, where the rows are on other machines. Foreign tables need PAGE_CACHE=off.
- Asking for the name is a statement of its own. One statement that reads the rows only if the name differs (a LEFT
  JOIN) is planned in full for nothing.
"""

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from postgres.deadline import Connection

MAX_PAGES = 32

# The name of the snapshot; no row where it proves nothing. Every function in it is STABLE: the same for all of a
# statement.
SNAPSHOT = (
    "SELECT concat_ws(' ', pg_current_snapshot(), pg_postmaster_start_time(), pg_backend_pid())"
    " WHERE current_setting('citus.version', true) IS NULL AND current_setting('in_hot_standby', true) = 'off'"
)

Page = TypeVar("Page")


@dataclass
class Kept(Generic[Page]):
    """A page, and by connection the name of the snapshot under which that connection has read it."""

    page: Page
    snapshots: WeakKeyDictionary[Connection, str] = field(default_factory=WeakKeyDictionary)


class PageCache(Generic[Page]):
    """At most MAX_PAGES pages; the one that nobody has asked for the longest goes first. Pages are compared by `==`."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Kept[Page]] = OrderedDict()

    def get_fresh(self, connection: Connection, key: Hashable) -> Page | None:
        """The page if it is kept and PostgreSQL proves it fresh; else None. Raises psycopg2.Error."""
        kept = self._kept.get(key)
        snapshot = kept.snapshots.get(connection) if kept else None
        if kept is None or snapshot is None or connection.fetch(SNAPSHOT) != [(snapshot,)]:
            return None
        self._touch(key)
        return kept.page

    def keep(self, connection: Connection, key: Hashable, snapshot: str | None, page: Page) -> Page:
        """Keep a page that was read under this snapshot (None: it proves nothing); returns the page that is kept.

        That is the object that was kept before, if it is the same page.
        """
        kept = self._kept.get(key)
        if kept is None or kept.page != page:
            kept = Kept(page)
        if snapshot is not None:
            kept.snapshots[connection] = snapshot
            self._kept[key] = kept
            self._touch(key)
            if len(self._kept) > MAX_PAGES:
                self._kept.popitem(last=False)
        return kept.page

    def _touch(self, key: Hashable) -> None:
        with suppress(KeyError):  # another request may have made it go meanwhile
            self._kept.move_to_end(key)
