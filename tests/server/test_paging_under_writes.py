"""A walk by `next` while others write: what was there at its start comes exactly once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx
import pytest

from support.processes import PATIENCE, serving
from support.texts import post_all, walk

WRITERS = 4


@pytest.mark.parametrize("path", ["/comments?limit=7", "/comments?limit=7&thread=busy"])
def test_a_walk_while_others_post(database_url: str, path: str) -> None:
    with serving(DATABASE_URL=database_url, DATABASE_CONNECTIONS=8, LOG_LEVEL="warning") as server:
        post_all(server.url, [("busy", f"before {n}") for n in range(200)])
        before = {comment["id"] for comment in walk(server.url, "/comments?limit=200")}
        done = Event()

        def write(_: int) -> int:
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
                n = 0
                while not done.is_set():
                    n += 1
                    body = {"name": "Ada", "comment": "meanwhile", "thread": "busy" if n % 2 else "other"}
                    assert http.post("/comments", json=body).status_code == 201
            return n

        with ThreadPoolExecutor(WRITERS) as pool:
            written = pool.map(write, range(WRITERS))
            try:
                walks = [[comment["id"] for comment in walk_for(server.url, path, 60)] for _ in range(3)]
            finally:
                done.set()
        assert sum(written) > 0
    for ids in walks:
        assert ids == sorted(set(ids)), "in ascending order, and never one twice"
        assert before <= set(ids)


def walk_for(url: str, path: str, pages: int) -> list[dict[str, str]]:
    """The comments of this many pages: while others write faster than we read, there is always a next one."""
    comments: list[dict[str, str]] = []
    with httpx.Client(base_url=url, timeout=PATIENCE) as http:
        while path and pages:
            page = http.get(path).json()
            comments += page["comments"]
            path = page.get("next", "")
            pages -= 1
    return comments
