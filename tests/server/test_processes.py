"""What several processes of the service do together."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx

from comment import Comment
from db import CommentDatabase

from support.postgres import sql
from support.processes import PATIENCE, serving

HELLO = {"name": "Ada", "comment": "Hello"}


def test_an_etag_is_the_same_in_every_process_and_after_a_restart(database_url: str, database: CommentDatabase) -> None:
    database.create_comment(Comment(None, "Ada", "Hello"))
    tags = set()
    for _ in range(2):
        with serving(DATABASE_URL=database_url, WEB_CONCURRENCY=3) as server:
            # Each on a connection of its own, so that the processes take turns.
            answers = [server.http.get("/comments", headers={"Connection": "close"}) for _ in range(12)]
            tags |= {answer.headers["ETag"] for answer in answers}
    assert len(tags) == 1


def test_one_row_however_many_retries_come_at_once(database_url: str) -> None:
    """Twenty at once, through three processes, a hundred times over."""
    retries, rounds = 20, 100
    together = Barrier(retries)

    with serving(DATABASE_URL=database_url, WEB_CONCURRENCY=3, DATABASE_CONNECTIONS=8, LOG_LEVEL="warning") as server:

        def retry(_: int) -> list[tuple[int, int]]:
            answers = []
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
                for n in range(rounds):
                    together.wait(PATIENCE)
                    answer = http.post("/comments", json=HELLO, headers={"Idempotency-Key": f"round-{n}"})
                    answers.append((answer.status_code, answer.json().get("id")))
            return answers

        with ThreadPoolExecutor(retries) as pool:
            per_client = list(pool.map(retry, range(retries)))
    for answers in zip(*per_client, strict=True):
        assert {status for status, _ in answers} == {201}
        assert len({comment_id for _, comment_id in answers}) == 1
    assert sql(database_url, "SELECT count(*) FROM comments") == [(rounds,)]
