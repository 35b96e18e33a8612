"""A cache of pages in each process. Every request checks with PostgreSQL that a cached page is current.

A page is cached with the id of the snapshot under which PostgreSQL read its rows. The next request for it reads the id
of the current snapshot only. The same id means the same rows. If the id differs, the rows are read again. If they are
equal, because the change was elsewhere, the cached object stays, with the answer that the web side has made of it.

- Why the same id means the same rows: pg_current_snapshot() names every transaction that had not ended when the
  statement began (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT). If rows have
  changed, a transaction has committed in between, and that changes the id. Every other write changes it too: that costs
  a read, but it never gives an old page.
- A snapshot id is valid on one connection only. After a crash PostgreSQL may use the numbers of lost transactions
  again, so an id must not outlive the connection that read it. Behind PgBouncer a client's connection may outlive a
  crash, or change its server: so the id contains the server's process and the time of its start.
- All connections of the process share a cached page. Each has its own snapshot id for it.
- Nothing is cached where the id proves nothing: on a hot standby, where two snapshots with the same id may differ by a
  row, and on Citus, where the rows are on other machines. Foreign tables need PAGE_CACHE=off.
- The id is read by a statement of its own. A single conditional statement (a LEFT JOIN) is slower, because PostgreSQL
  plans all of it even when no row is needed.
"""

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from postgres.deadline import Connection

# At most so many pages, and none with more characters than this. A character takes up to 10 bytes: 4 in a comment with
# an emoji, 6 in the JSON of a control character. So a process caches 16 MB at the most.
MAX_ENTRIES = 32
MAX_SIZE = 50_000

# The id of the snapshot; no row where it proves nothing. All its functions are STABLE: one value for a whole statement.
SNAPSHOT = (
    "SELECT concat_ws(' ', pg_current_snapshot(), pg_postmaster_start_time(), pg_backend_pid())"
    " WHERE current_setting('citus.version', true) IS NULL AND current_setting('in_hot_standby', true) = 'off'"
)


class Sized(Protocol):
    """What can be cached: `size` is its number of characters."""

    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Sized)


@dataclass
class Entry(Generic[T]):
    """A cached page, and for each connection the id of the snapshot under which that connection has read it."""

    page: T
    snapshots: WeakKeyDictionary[Connection, str] = field(default_factory=WeakKeyDictionary)


class PageCache(Generic[T]):
    """At most MAX_ENTRIES pages. The least recently used one is dropped first. Pages are compared by `==`."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, Entry[T]] = OrderedDict()

    def get_fresh(self, connection: Connection, key: Hashable) -> T | None:
        """The page if it is cached and PostgreSQL says that it is current; else None. Raises psycopg2.Error."""
        entry = self._entries.get(key)
        snapshot = entry.snapshots.get(connection) if entry else None
        if entry is None or snapshot is None or connection.fetch(SNAPSHOT) != [(snapshot,)]:
            return None
        with suppress(KeyError):  # another request may have dropped it meanwhile
            self._entries.move_to_end(key)
        return entry.page

    def store(self, connection: Connection, key: Hashable, snapshot: str | None, page: T) -> T:
        """Cache a page that was read under this snapshot. Returns the cached object: an equal one may be there already.

        Without a snapshot id (None), or if it is too large, the page is returned and not cached.
        """
        entry = self._entries.pop(key, None)
        if entry is None or entry.page != page:
            entry = Entry(page)
            if page.size > MAX_SIZE:
                return page
        if snapshot is not None:
            entry.snapshots[connection] = snapshot
            self._entries[key] = entry
            if len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)
        return entry.page
