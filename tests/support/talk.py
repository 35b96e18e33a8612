"""Clients that answer, edit and delete the same comments at once, and reckon at the end with what they were told."""

import http.client
import itertools
import json
import random
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from support.load import TIMEOUT
from support.model import check_table
from support.postgres import sql
from support.processes import Server
from support.texts import walk

CLIENTS = 64
THREADS = ["/one", "/two", "/three"]
HOT = 6  # so many comments of a thread, the newest ones, are answered
PAGE = 20  # comments that a reader gets

Shown = dict[str, Any]
Answer = tuple[int, Any, str | None]  # status, JSON, entity tag


@dataclass
class Talk:
    """What all clients know of each other, and what was wrong."""

    server: Server
    hot: dict[str, deque[int]] = field(default_factory=lambda: {thread: deque(maxlen=HOT) for thread in THREADS})
    statuses: Counter[int] = field(default_factory=Counter)
    refused: set[int] = field(default_factory=set)  # those that could not be answered
    untrue: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = urlsplit(self.server.url).port
        self.clients = [Client(self, number) for number in range(CLIENTS)]

    def go_on(self, seconds: float) -> None:
        """Let all clients talk at once for so many seconds."""
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda client: client.talk(end), self.clients))

    def reckon(self, url: str) -> None:
        """Compare the table, and the pages, with what the clients were told."""
        check_table(url)
        columns = "id, thread, parent_id, name, comment, status, author_hash"
        rows = {row[0]: row[1:] for row in sql(url, f"SELECT {columns} FROM comments")}  # noqa: S608
        for client in self.clients:
            for id, comment in client.published.items():
                told = tuple(comment[name] for name in ("thread", "parent_id", "name", "comment", "status"))
                self.check(rows.get(id, ())[:5] == told and bytes(rows[id][5]) == client.hash, ("lost", comment))
        published, deleted = (
            {id for id, row in rows.items() if row[4] == status} for status in ("published", "deleted")
        )
        told_deleted = {id for client in self.clients for id in client.deleted}
        self.check(published == {id for client in self.clients for id in client.published}, "nobody was told of it")
        self.check(deleted <= told_deleted, "nobody has deleted it")
        self.check(self.refused <= told_deleted - rows.keys(), "it was there, and could not be answered")
        self.check([comment["id"] for comment in walk(self.server.url, "/comments?limit=200")] == sorted(rows), "pages")

    def check(self, is_true: bool, *what: object) -> None:
        if not is_true:
            self.untrue.append(what)


class Client:
    """An author with a key of his own: he alone changes his comments, so he knows how they are."""

    def __init__(self, talk: Talk, number: int) -> None:
        key = f"the-key-of-the-client-{number}"
        self.board, self.number, self.hash = talk, number, sha256(key.encode()).digest()
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        self.texts = itertools.count(1)
        self.published: dict[int, Shown] = {}
        self.deleted: set[int] = set()
        self.chance = random.Random(number)  # noqa: S311

    def talk(self, end: float) -> None:
        deeds = [
            self.post,
            self.reply,
            self.edit,
            self.delete,
            self.edit_twice,
            self.delete_twice,
            self.edit_and_delete,
        ]
        weights = [8, 40, 10, 12, 5, 5, 5]
        while time.monotonic() < end:
            deed = self.chance.choices([*deeds, self.read], [*weights, 15])[0]
            deed()

    def ask(self, *requests: tuple[str, str, object, dict[str, str]]) -> list[Answer]:
        """Send these requests at the same time, each on a connection of its own."""
        connections = [http.client.HTTPConnection("127.0.0.1", self.board.port, timeout=TIMEOUT) for _ in requests]
        answers = []
        try:
            for connection, (method, path, body, headers) in zip(connections, requests, strict=True):
                connection.request(method, path, json.dumps(body) if body else None, self.headers | headers)
            for connection in connections:
                response = connection.getresponse()
                answers.append((response.status, json.loads(response.read() or "null"), response.getheader("ETag")))
        finally:
            for connection in connections:
                connection.close()
        self.board.statuses.update(status for status, _, _ in answers)
        return answers

    def check(self, is_true: bool, *what: object) -> None:
        self.board.check(is_true, self.number, *what)

    def text(self) -> str:
        return f"{self.number}: {next(self.texts)}"

    def own(self) -> int | None:
        """A comment of his own, one of the newest: others may be answering it."""
        newest = list(itertools.islice(reversed(self.published), 3))
        return self.chance.choice(newest) if newest else None

    def post(self) -> None:
        self.send(self.chance.choice(THREADS), None)

    def reply(self) -> None:
        thread = self.chance.choice(THREADS)
        hot = list(self.board.hot[thread])
        if hot:
            self.send(thread, self.chance.choice(hot))

    def send(self, thread: str, parent_id: int | None) -> None:
        """Once, or twice at once with the same Idempotency-Key, and perhaps again."""
        sent = {"name": "Ada", "comment": self.text(), "thread": thread, "parent_id": parent_id}
        request = ("POST", "/comments", sent, {"Idempotency-Key": str(sent["comment"]).replace(" ", "")})
        answers = self.ask(*[request] * self.chance.choice([1, 1, 2]))
        if self.chance.random() < 0.1:
            answers += self.ask(request)
        self.check(all(answer == answers[0] for answer in answers), "a retry", answers)
        status, shown, _ = answers[0]
        if status == 400 and parent_id:
            self.board.refused.add(parent_id)
            return
        self.check(status == 201 and shown == shown | sent and shown["status"] == "published", "a post", answers)
        if status == 201:
            self.published[shown["id"]] = shown
            self.board.hot[thread].append(shown["id"])

    def edit(self) -> None:
        if (id := self.own()) is not None:
            self.is_edited(id, *self.ask(self.patch(id)))

    def patch(self, id: int, **headers: str) -> tuple[str, str, object, dict[str, str]]:
        fields = {"comment": self.text()} | ({"name": self.text()} if self.chance.random() < 0.5 else {})
        return ("PATCH", f"/comments/{id}", fields, {name.replace("_", "-"): value for name, value in headers.items()})

    def is_edited(self, id: int, answer: Answer) -> None:
        status, shown, _ = answer
        before = self.published[id]
        changed = ("name", "comment", "html", "edited_at")
        is_right = status == 200 and all(shown[name] == before[name] for name in before.keys() - set(changed))
        self.check(is_right and shown["comment"] != before["comment"], "an edit", before, answer)
        if status == 200:
            self.published[id] = shown

    def edit_twice(self) -> None:
        """The same version at once: one edit wins, the other one is told so."""
        if (id := self.own()) is None:
            return
        [(_, shown, tag)] = self.ask(("GET", f"/comments/{id}", None, {}))
        self.check(shown == self.published[id], "a comment", shown, self.published[id])
        answers = self.ask(*(self.patch(id, If_Match=tag or "") for _ in range(2)))
        self.check(sorted(status for status, _, _ in answers) == [200, 412], "two edits", answers)
        for answer in answers:
            if answer[0] == 200:
                self.is_edited(id, answer)

    def delete(self) -> None:
        if (id := self.own()) is not None:
            self.is_deleted(id, self.ask(("DELETE", f"/comments/{id}", None, {})), [204])

    def delete_twice(self) -> None:
        if (id := self.own()) is not None:
            self.is_deleted(id, self.ask(*[("DELETE", f"/comments/{id}", None, {})] * 2), [204, 404])

    def edit_and_delete(self) -> None:
        """At once: the comment is deleted, whether it was edited before or not."""
        if (id := self.own()) is not None:
            deletion, edit = self.ask(("DELETE", f"/comments/{id}", None, {}), self.patch(id))
            self.check(edit[0] in (200, 404), "an edit", edit)
            self.is_deleted(id, [deletion], [204])

    def is_deleted(self, id: int, answers: list[Answer], expected: list[int]) -> None:
        self.check(sorted(status for status, _, _ in answers) == expected, "a deletion", answers)
        if 204 in (status for status, _, _ in answers):
            del self.published[id]
            self.deleted.add(id)
            [(status, shown, _)] = self.ask(("GET", f"/comments/{id}", None, {}))
            self.check(status == 404 or (status == 200 and is_tombstone(shown)), "a deleted comment", id, shown)

    def read(self) -> None:
        """A page is how the thread is at one moment, and shows all that this client was told."""
        thread = self.chance.choice(THREADS)
        [(status, page, _)] = self.ask(("GET", f"/comments?thread={thread}&order=newest&limit={PAGE}", None, {}))
        self.check(status == 200, "a page", page)
        if status != 200 or not page["comments"]:
            return
        comments = {comment["id"]: comment for comment in page["comments"]}
        answered, lowest = {comment["parent_id"] for comment in comments.values()}, min(comments)
        for comment in comments.values():
            has_parent = (comment["parent_id"] or 0) < lowest or comment["parent_id"] in comments
            self.check(has_parent, "an orphan", comment)
            self.check(comment["status"] == "published" or comment["id"] in answered, "a tombstone alone", comment)
        own = {id: shown for id, shown in self.published.items() if shown["thread"] == thread and id >= lowest}
        self.check(all(comments.get(id) == own[id] for id in own), "a page", own, comments)
        self.check(all(is_tombstone(comments[id]) for id in self.deleted & comments.keys()), "a deleted comment")


def is_tombstone(shown: Shown) -> bool:
    person = (shown["name"], shown["comment"], shown["html"], shown["edited_at"])
    return (shown["status"], *person) == ("deleted", "", "", "", None)


def talk(server: Server, url: str, seconds: float) -> Talk:
    """Let the clients talk, and reckon."""
    found = Talk(server)
    found.go_on(seconds)
    found.reckon(url)
    return found
