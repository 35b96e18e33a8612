"""Authors who post, answer and edit while moderators decide, and what must be true of all that they were told."""

import http.client
import itertools
import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from support.load import TIMEOUT
from support.moderator import ADMIN, bearer
from support.postgres import sql
from support.processes import Server

AUTHORS = 60
MODERATORS = 4
THREADS = ["/one", "/two"]
STATES = ("published", "published", "spam", "pending", "deleted")

Answer = tuple[int, Any]


@dataclass
class Clearing:
    """What all know of each other, and what was wrong. Each comment has one moderator, by its id."""

    server: Server
    stored: set[int] = field(default_factory=set)  # by a 201
    allowed: set[int] = field(default_factory=set)  # by a decision to publish that has begun
    decided: dict[int, str] = field(default_factory=dict)  # the last decision that was answered
    statuses: Counter[int] = field(default_factory=Counter)
    untrue: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = urlsplit(self.server.url).port

    def go_on(self, seconds: float) -> None:
        """Let all work at once for so many seconds."""
        end = time.monotonic() + seconds
        work = [*(Author(self, number) for number in range(AUTHORS)), *(Moderator(self, n) for n in range(MODERATORS))]
        with ThreadPoolExecutor(len(work)) as pool:
            list(pool.map(lambda each: each.work(end), work))

    def reckon(self, url: str) -> None:
        """Compare the tables with what all were told."""
        # What is held may have a tombstone in the other table.
        found = dict(sql(url, "SELECT id, status FROM comments")) | dict(
            sql(url, "SELECT id, status FROM held_comments")
        )
        for id in self.stored:
            expected = self.decided.get(id, "pending")
            is_right = found.get(id, "deleted") == expected or (is_edited(id) and found.get(id) == "pending")
            self.check(is_right, "lost", id, found.get(id), expected)
        self.check(found.keys() <= self.stored, "nobody was told of it", found.keys() - self.stored)
        twice = "SELECT id FROM comments JOIN held_comments USING (id) WHERE comments.status = 'published'"
        self.check(sql(url, twice) == [], "in both tables")

    def check(self, is_true: bool, *what: object) -> None:
        if not is_true:
            self.untrue.append(what)

    def ask(self, method: str, path: str, token: str | None, body: object = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            sent = {"Content-Type": "application/json", **bearer(token), **headers}
            connection.request(method, path, json.dumps(body) if body else None, sent)
            response = connection.getresponse()
            answer = response.status, json.loads(response.read() or "null")
        finally:
            connection.close()
        self.statuses.update([answer[0]])
        return answer

    def page(self, thread: str) -> dict[int, str]:
        """The newest comments of a thread, by id: their status. None was never published."""
        began = set(self.allowed)
        status, page = self.ask("GET", f"/comments?thread={thread}&order=newest&limit=200", None)
        self.check(status == 200, "a page", page)
        shown = {each["id"]: each["status"] for each in page["comments"]}
        published = {id for id, state in shown.items() if state == "published"}
        self.check(published <= began | self.allowed, "not published", published - self.allowed)
        self.check(set(shown.values()) <= {"published", "deleted"}, "shown", shown)
        return shown


def is_edited(id: int) -> bool:
    """Whether its author may edit this comment: then it waits again, whatever was decided before."""
    return id % 5 == 0


class Author:
    """Posts, answers what is published, edits what he has posted, and repeats himself."""

    def __init__(self, board: Clearing, number: int) -> None:
        self.board, self.key = board, f"the-key-of-the-author-{number}"
        self.chance, self.texts, self.own = random.Random(number), itertools.count(1), list[int]()  # noqa: S311

    def work(self, end: float) -> None:
        while time.monotonic() < end:
            self.chance.choices([self.post, self.edit, self.read], [6, 3, 1])[0]()

    def post(self) -> None:
        thread, parent = self.chance.choice(THREADS), None
        if self.chance.random() < 0.4:
            parent = next((id for id, state in self.board.page(thread).items() if state == "published"), None)
        text = f"{self.key} {next(self.texts)}"
        sent = {"name": "Ada", "comment": text, "thread": thread, "parent_id": parent}
        answers = [
            self.board.ask("POST", "/comments", self.key, sent, **{"Idempotency-Key": text.replace(" ", ":")})
            for _ in range(self.chance.choice([1, 1, 2]))
        ]
        for status, shown in answers:
            self.board.check(status == 201 or (status == 400 and parent is not None), "a post", answers)
            if status == 201:
                self.board.stored.add(shown["id"])
                self.own.append(shown["id"])

    def edit(self) -> None:
        if edited := list(filter(is_edited, self.own)):
            id = self.chance.choice(edited[-5:])
            status, shown = self.board.ask("PATCH", f"/comments/{id}", self.key, {"comment": f"Edited {id}"})
            is_right = status == 404 or (status == 200 and shown["status"] == "pending")
            self.board.check(is_right, "an edit", shown)
            self.board.check(status != 404 or self.board.decided.get(id, "deleted") == "deleted", "gone", id)

    def read(self) -> None:
        self.board.page(self.chance.choice(THREADS))


class Moderator:
    """Decides about the newest comments that wait, and again about some that he has decided about."""

    def __init__(self, board: Clearing, number: int) -> None:
        self.board, self.number = board, number
        self.chance = random.Random(-number - 1)  # noqa: S311

    def work(self, end: float) -> None:
        while time.monotonic() < end:
            status, found = self.board.ask("GET", "/comments?status=pending&order=newest&limit=50", ADMIN)
            self.board.check(status == 200, "the queue", found)
            mine = [each for each in found["comments"] if each["id"] % MODERATORS == self.number]
            again = [id for id, state in list(self.board.decided.items()) if id % MODERATORS == self.number]
            self.decide_one(mine[0]["id"] if mine else 0)
            self.decide_several([each["id"] for each in mine[1:]])
            self.decide_one(self.chance.choice(again[-20:]) if again else 0)

    def decide_one(self, id: int) -> None:
        if id and self.board.decided.get(id) != "deleted":
            state = self.begin([id])
            answer = (
                self.board.ask("DELETE", f"/comments/{id}", ADMIN)
                if state == "deleted"
                else self.board.ask("PATCH", f"/comments/{id}", ADMIN, {"status": state})
            )
            self.board.check(answer[0] in (200, 204), "a decision", id, state, answer)
            self.ended([id], state)

    def decide_several(self, ids: list[int]) -> None:
        if ids:
            state = self.begin(ids)
            status, answer = self.board.ask("PATCH", "/comments", ADMIN, {"ids": ids, "status": state})
            expected = 0 if state == "pending" else len(ids)
            self.board.check((status, answer) == (200, {"changed": expected}), "decisions", ids, state, answer)
            self.ended(ids, state)

    def begin(self, ids: list[int]) -> str:
        state = self.chance.choice(STATES)
        if state == "published":
            self.board.allowed.update(ids)
        return state

    def ended(self, ids: list[int], state: str) -> None:
        """A page that is read after the answer shows what was decided."""
        self.board.decided.update(dict.fromkeys(ids, state))
        if state != "published":
            self.board.allowed.difference_update(ids)
        shown = {id: status for thread in THREADS for id, status in self.board.page(thread).items()}
        lowest = min(shown, default=0)
        for id in ids:
            is_right = (shown.get(id) == "published") == (state == "published")
            is_past = id < lowest or (is_edited(id) and state == "published")
            self.board.check(is_right or is_past, "a decision that is not shown", id, state, shown.get(id))


def clear(server: Server, url: str, seconds: float) -> Clearing:
    """Let all work, and reckon."""
    board = Clearing(server)
    board.go_on(seconds)
    board.reckon(url)
    return board
