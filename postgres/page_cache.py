"""A cache of pages in each process. Every request checks with PostgreSQL that a cached page is current.

A page is cached with the name of the snapshot under which PostgreSQL read it. A request asks for the name of the
current snapshot: the same name means the same rows. If the name differs, the page is read again. If the new page is
equal, because the change was elsewhere, the cached object stays, with the answer that the web side has made of it.

- pg_current_snapshot() tells which transactions had ended when the statement began
  (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT). If rows have changed, one more
  has ended, and the name differs. After every other write it differs too: that costs a read only.
- One connection asks for the name, the prover, once for all requests that wait (batches.py). It reads no page, so no
  slow page holds others up.
- After a crash PostgreSQL may use the numbers of lost transactions again. So a page is valid for one session of the
  prover, which began before the page was read and still lasts: a crash ends all sessions. A session is a connection and
  the server's process id, because behind PgBouncer a connection may change its server.
- The name has the time of the server's start: it differs on another server, and after a restart.
- Nothing is cached where the name proves nothing: on a hot standby, where two snapshots with the same name may differ
  by a row, and on Citus, where the rows are on other machines. Foreign tables need PAGE_CACHE=off.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, Protocol, TypeVar

from postgres.batches import Batches
from postgres.connections import ConnectionPool
from postgres.deadline import Connection

# The most pages, and the most characters of one. A character takes up to 10 bytes: 4 in a comment with an emoji, 6 in
# the JSON of a control character. So a process caches about 32 MB at the most.
MAX_ENTRIES = 32
MAX_SIZE = 100_000

# The name of the snapshot; no row where it proves nothing. All its functions are STABLE: one value for a statement.
SNAPSHOT = (
    "SELECT concat_ws(' ', pg_current_snapshot(), pg_postmaster_start_time())"
    " WHERE current_setting('citus.version', true) IS NULL AND current_setting('in_hot_standby', true) = 'off'"
)


class Sized(Protocol):
    @property
    def size(self) -> int:
        """The number of its characters."""


T = TypeVar("T", bound=Sized)


class Proof(NamedTuple):
    """The prover's answer: its session, and the name of the snapshot. None stands for no answer, and for no name."""

    session: tuple[Connection, int] | None = None
    snapshot: str | None = None


class PageCache(Generic[T]):
    """At most MAX_ENTRIES pages, proved by a pool of one connection. The least recently used page is dropped first."""

    def __init__(self, prover: ConnectionPool) -> None:
        self._prover = prover
        self._proofs = Batches(self._prove)
        self._last = Proof()
        self._entries: OrderedDict[Hashable, tuple[Proof, T]] = OrderedDict()

    def get(self, key: Hashable, deadline: float) -> tuple[Proof, T | None]:
        """The proof to store a page with, and the page if it is cached and current. Raises DatabaseUnavailable."""
        if key not in self._entries:
            return self._last, None  # to be stored with a session that was there before it was read
        proof = self._last = self._proofs.submit(None, deadline)
        entry = self._entries.get(key)
        if entry is None or entry[0] != proof:
            return proof, None
        self._entries[key] = self._entries.pop(key, entry)  # now the last to be dropped
        return proof, entry[1]

    def store(self, key: Hashable, proof: Proof, snapshot: str | None, page: T) -> T:
        """Cache the page that was read after get(), if it may be cached. Returns it, or an equal one that was there."""
        _, cached = self._entries.pop(key, (None, None))
        if cached == page:
            page = cached
        elif page.size > MAX_SIZE:
            return page
        if snapshot is not None:
            self._entries[key] = proof._replace(snapshot=snapshot), page
            if len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)
        return page

    def _prove(self, calls: list[None], deadline: float) -> list[Proof]:
        with self._prover.connection(deadline=deadline) as connection:
            [(process, snapshot)] = connection.fetch(f"SELECT pg_backend_pid(), ({SNAPSHOT})")
        return [Proof((connection, process), snapshot)] * len(calls)
