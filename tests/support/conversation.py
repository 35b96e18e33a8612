"""A state machine of Hypothesis: it sends requests in random order, and compares the service with model.py."""

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import cycle
from typing import Any
from urllib.parse import urlencode

from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from werkzeug.test import TestResponse

from support.model import (
    IDEMPOTENCY_KEYS,
    KEYS,
    NAMES,
    NEVER,
    SPAM,
    TEXTS,
    THREADS,
    Entry,
    Model,
    Sent,
    bearer,
    check_table,
)
from support.postgres import empty, sql

threads, names, texts = st.sampled_from(THREADS), st.sampled_from(NAMES), st.sampled_from(list(TEXTS))
edits = st.fixed_dictionaries({}, optional={"name": names, "comment": texts}).filter(bool)
whose = st.sampled_from([*["author"] * 6, "another", "nobody"])
versions = st.sampled_from([None, "*", "current", "stale"])
orders = st.sampled_from(["oldest", "newest"])
states = st.sampled_from(["published", "published", "pending", "spam", "deleted"])

# Whether the comment is still there, and which one of those.
Target = tuple[str, int]
targets = st.tuples(st.sampled_from([*["there"] * 6, "gone"]), st.integers(0, 9))


class Conversation(RuleBasedStateMachine):
    """Sends each request by the next of several clients. After each, the pages must be those of the model."""

    clients: Sequence[FlaskClient]
    database_url: str
    moderator: str | None = None  # his token

    def __init__(self) -> None:
        super().__init__()
        self.next_client, self.turn = cycle(self.clients), False
        self.model = Model(is_moderated=self.moderator is not None)
        self.sent: dict[int, Sent] = {}  # the POST of each comment
        self.tags: dict[str, str] = {}  # the entity tag of each content that a comment has had
        empty(self.database_url)

    def ask(self, method: str, path: str, **arguments: Any) -> TestResponse:
        return next(self.next_client).open(path, method=method, **arguments)

    def id(self, which: Target) -> int:
        """A comment that is there, or one that is not."""
        where, place = which
        there = list(self.model.entries | self.model.held)
        gone = [NEVER, *(self.sent.keys() - set(there))]
        chosen = there if there and where == "there" else gone
        return chosen[place % len(chosen)]

    @initialize()
    def begin(self) -> None:
        """A comment, two answers, an answer to one of them, and a comment elsewhere."""
        for parent_id in (None, 1, 1, 2):
            self.send(
                Sent("Ada", "Hello", THREADS[1], parent_id, KEYS[0], IDEMPOTENCY_KEYS[0] if not parent_id else None)
            )
        self.send(Sent("Ada", "Hello", THREADS[0], None, None, IDEMPOTENCY_KEYS[0]))

    @rule(
        thread=threads,
        name=names,
        text=texts,
        author=st.sampled_from([*KEYS, None]),
        key=st.sampled_from([None, *IDEMPOTENCY_KEYS]),
    )
    def post(self, thread: str, name: str, text: str, author: str | None, key: str | None) -> None:
        self.send(Sent(name, text, thread, None, author, key))

    @rule(
        which=targets,
        author=st.sampled_from(KEYS),
        key=st.sampled_from([None, None, *IDEMPOTENCY_KEYS]),
        is_elsewhere=st.sampled_from([False, False, False, False, True]),
    )
    def reply(self, which: Target, author: str, key: str | None, is_elsewhere: bool) -> None:
        parent_id = self.id(which)
        thread = self.sent[parent_id].thread if parent_id in self.sent else THREADS[0]
        other_thread = next(other for other in THREADS if other != thread)
        self.send(Sent("Grace", "Hello", other_thread if is_elsewhere else thread, parent_id, author, key))

    @rule(
        place=st.integers(0, 9),
        changes=st.sampled_from(
            [
                {},
                {},
                {"name": "Other"},
                {"comment": "1 < 2"},
                {"author": KEYS[1]},
                {"author": None},
                {"parent_id": None},
            ]
        ),
    )
    def send_again(self, place: int, changes: dict[str, Any]) -> None:
        """Perhaps after the comment was edited or deleted."""
        with_keys = [sent for sent in self.sent.values() if sent.idempotency_key]
        self.send(replace(with_keys[place % len(with_keys)], **changes))

    def send(self, sent: Sent) -> None:
        """POST it, and check the answer."""
        answer = self.ask("POST", "/comments", json=sent.body, headers=sent.headers)
        stored = self.model.with_key(sent)
        if stored:
            assert answer.status_code == (201 if stored.is_sent_again_by(sent) else 422)
        else:
            assert answer.status_code == (201 if self.model.can_be_answered(sent) else 400)
        if answer.status_code != 201:
            return
        shown = answer.get_json()
        assert answer.headers["Location"] == f"/comments/{shown['id']}"
        self.check_tag(shown, answer)
        if stored:
            assert shown == stored.shown
        else:
            self.add(sent, shown)

    def add(self, sent: Sent, shown: dict[str, Any]) -> None:
        """Put a new comment into the model, and check what the answer shows of it."""
        assert all(shown["id"] > earlier for earlier in self.sent)
        self.model.add(Entry(shown, sent.author, sent.idempotency_key))
        self.sent[shown["id"]] = sent
        expected = {**sent.body, "html": TEXTS[sent.comment], "edited_at": None, "verified": False}
        expected |= {"status": "pending" if shown["id"] in self.model.held else "published"}
        assert shown == expected | {"id": shown["id"], "created_at": shown["created_at"]}

    @rule(which=targets, who=whose, edit=edits, version=versions)
    def edit(self, which: Target, who: str, edit: dict[str, str], version: str | None) -> None:
        id = self.id(which)
        answer = self.change("PATCH", id, who, version, json=edit)
        if answer.status_code != 200:
            return
        before, after = self.own(id).shown, answer.get_json()
        html = {"html": TEXTS[edit["comment"]]} if "comment" in edit else {}
        self.model.edit(id, after)
        assert after == before | edit | html | {"edited_at": after["edited_at"], "status": self.own(id).shown["status"]}
        assert after["edited_at"] > (before["edited_at"] or before["created_at"])
        self.check_tag(after, answer)

    @rule(which=targets, who=whose, version=versions)
    def delete(self, which: Target, who: str, version: str | None) -> None:
        id = self.id(which)
        answer = self.change("DELETE", id, who, version)
        if answer.status_code == 204:
            assert answer.data == b""
            self.model.delete(id)

    def change(self, method: str, id: int, who: str, version: str | None, **arguments: Any) -> TestResponse:
        """Send a PATCH or a DELETE, and check the status."""
        author = self.key_of(id, who)
        headers = bearer(author) | self.if_match(id, version)
        answer = self.ask(method, f"/comments/{id}", headers=headers, **arguments)
        good = 200 if method == "PATCH" else 204
        expected = self.model.why_not(id, author) or (412 if version == "stale" else good)
        assert answer.status_code == expected
        return answer

    def key_of(self, id: int, who: str) -> str | None:
        own = self.sent[id].author if id in self.sent else None
        return {"author": own or KEYS[0], "another": next(key for key in KEYS if key != own), "nobody": None}[who]

    def own(self, id: int) -> Entry:
        """A comment that is there, as its author sees it."""
        found = self.model.own(id)
        assert found
        return found

    def if_match(self, id: int, version: str | None) -> dict[str, str]:
        return {"If-Match": self.version(id, version, self.model.own(id))} if version else {}

    def version(self, id: int, version: str, entry: Entry | None) -> str:
        """The value of If-Match. A version is stale if the comment was once like that."""
        current = self.tag(entry.shown) if entry else '"gone"'
        earlier = [tag for shown, tag in self.tags.items() if json.loads(shown)["id"] == id and tag != current]
        return {"*": "*", "current": current, "stale": earlier[-1] if earlier else '"other"'}[version]

    @rule(which=targets)
    def read(self, which: Target) -> None:
        id = self.id(which)
        answer = self.ask("GET", f"/comments/{id}")
        if id not in self.model.entries:
            assert answer.status_code == 404
            return
        assert (answer.status_code, answer.get_json()) == (200, self.model.entries[id].shown)
        self.check_tag(self.model.entries[id].shown, answer)
        for version, status in [("current", 304), ("stale", 200)]:
            tag = self.version(id, version, self.model.entries[id])
            assert self.ask("GET", f"/comments/{id}", headers={"If-None-Match": tag}).status_code == status

    @rule(thread=threads | st.none(), order=orders, limit=st.integers(1, 4), which=targets | st.none())
    def walk(self, thread: str | None, order: str, limit: int, which: Target | None) -> None:
        """From the beginning, or after a comment. That may be of another thread, or deleted."""
        after = self.id(which) if which else None
        given = {"thread": thread, "order": order, "limit": limit, "after": after}
        path = f"/comments?{urlencode({name: value for name, value in given.items() if value is not None})}"
        left = self.model.page(thread, order == "newest", after)
        while path:
            answer = self.ask("GET", path)
            page = answer.get_json()
            assert page["comments"] == left[:limit]
            assert ("next" in page) == (len(left) > limit)
            assert answer.headers.get("Link") == (f'<{page["next"]}>; rel="next"' if "next" in page else None)
            assert self.ask("GET", path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
            left, path = left[limit:], page.get("next", "")

    @rule(asked=st.lists(threads, min_size=1, max_size=4))
    def count(self, asked: list[str]) -> None:
        expected = {thread: self.model.count(thread) for thread in asked}
        answer = self.ask("GET", "/counts", query_string={"thread": asked})
        assert (answer.status_code, answer.get_json()) == (200, {"counts": expected})

    @invariant()
    def the_pages_are_those_of_the_model(self) -> None:
        """Each client asks for one of two pages, and the next time for the other one."""
        pages: list[tuple[dict[str, str], list[dict[str, Any]]]] = [
            ({}, self.model.page(None)),
            ({"thread": THREADS[1], "order": "newest"}, self.model.page(THREADS[1], is_newest_first=True)),
        ]
        self.turn = not self.turn
        for client, (query, expected) in zip(self.clients, pages[self.turn :] + pages, strict=False):
            assert client.get("/comments", query_string=query).get_json() == {"comments": expected}

    def check_tag(self, shown: dict[str, Any], answer: TestResponse) -> None:
        """The same content has the same tag, and another content another one."""
        assert answer.headers["ETag"] == self.tags.setdefault(json.dumps(shown), answer.headers["ETag"])
        assert len(set(self.tags.values())) == len(self.tags)

    def tag(self, shown: dict[str, Any]) -> str:
        """The tag of a comment; a tombstone, or what a moderator has held, has one that no answer has shown yet."""
        if json.dumps(shown) not in self.tags:
            token = self.moderator if shown["status"] == "pending" else None
            self.check_tag(shown, self.ask("GET", f"/comments/{shown['id']}", headers=bearer(token)))
        return self.tags[json.dumps(shown)]

    def teardown(self) -> None:
        check_table(self.database_url)
        rows = sql(self.database_url, "SELECT id, author_hash, idempotency_key FROM comments")
        hidden = {id: (hash and bytes(hash), key) for id, hash, key in rows}
        assert hidden == {id: hidden_of(entry) for id, entry in self.model.entries.items()}


def hidden_of(entry: Entry) -> tuple[bytes | None, str | None]:
    return entry.author and sha256(entry.author.encode()).digest(), entry.idempotency_key  # type: ignore[return-value]


class ModeratedConversation(Conversation):
    """The same where the first comment of an author waits, a word is spam, and a moderator decides."""

    @initialize()
    def begin(self) -> None:
        """A rule, a comment of each author that is published, and answers."""
        new_rule = {"kind": "word", "value": SPAM, "effect": "spam"}
        assert self.ask("POST", "/rules", json=new_rule, headers=bearer(self.moderator)).status_code in (200, 201)
        for author in KEYS:
            self.send(Sent("Ada", "Hello", THREADS[1], None, author, None))
        self.decide_several([("there", 0), ("there", 1)], "published")
        super().begin()

    @rule(which=targets, status=states, version=versions)
    def decide(self, which: Target, status: str, version: str | None) -> None:
        id = self.id(which)
        entry = self.model.own(id)
        headers = bearer(self.moderator) | self.if_match(id, version)
        answer = self.ask("PATCH", f"/comments/{id}", json={"status": status}, headers=headers)
        if entry is None or entry.status == "deleted":
            assert answer.status_code == 404
        elif version == "stale":
            assert answer.status_code == 412
        else:
            self.model.decide([id], status)
            assert answer.status_code == (204 if status == "deleted" else 200)
            if status != "deleted":
                assert answer.get_json() == for_moderators(self.own(id))
                self.check_tag(self.own(id).shown, answer)

    @rule(which=st.lists(targets, min_size=1, max_size=5), status=states)
    def decide_several(self, which: list[Target], status: str) -> None:
        ids = list(dict.fromkeys(map(self.id, which)))
        answer = self.ask("PATCH", "/comments", json={"ids": ids, "status": status}, headers=bearer(self.moderator))
        assert (answer.status_code, answer.get_json()) == (200, {"changed": self.model.decide(ids, status)})

    @rule(which=targets, who=whose)
    def read_what_is_held(self, which: Target, who: str) -> None:
        """Its author sees it. For others it is not there, or a tombstone."""
        id = self.id(which)
        author = self.key_of(id, who)
        answer = self.ask("GET", f"/comments/{id}", headers=bearer(author))
        held = self.model.held.get(id)
        seen = held if held and author and held.author == author else self.model.entries.get(id)
        assert answer.status_code == (200 if seen else 404)
        assert seen is None or answer.get_json() == seen.shown

    @rule(status=states, order=orders, limit=st.integers(1, 4))
    def search(self, status: str, order: str, limit: int) -> None:
        path = f"/comments?{urlencode({'status': status, 'order': order, 'limit': limit})}"
        found: list[dict[str, Any]] = []
        while path:
            page = self.ask("GET", path, headers=bearer(self.moderator)).get_json()
            found, path = found + page["comments"], page.get("next", "")
        every = [*self.model.entries.values(), *self.model.held.values()]
        expected = [for_moderators(entry) for entry in every if entry.status == status]
        assert found == sorted(expected, key=lambda comment: int(comment["id"]), reverse=order == "newest")

    def teardown(self) -> None:
        super().teardown()
        rows = sql(self.database_url, "SELECT id, author_hash, idempotency_key, status, reason FROM held_comments")
        hidden = {id: ((hash and bytes(hash), key), status, reason) for id, hash, key, status, reason in rows}
        held = self.model.held.items()
        assert hidden == {id: (hidden_of(entry), entry.status, entry.reason) for id, entry in held}


def for_moderators(entry: Entry) -> dict[str, Any]:
    return entry.shown | {"status": entry.status, "reason": entry.reason}


def converse(
    clients: Sequence[FlaskClient], database_url: str, examples: int, steps: int = 50, moderator: str | None = None
) -> None:
    """Run this many conversations (examples), each of at most this many steps.

    `moderator` is his token, if MODERATION=first.
    """
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine = ModeratedConversation if moderator else Conversation
    given = {"clients": clients, "database_url": database_url, "moderator": moderator}
    run_machine(type("Here", (machine,), given), settings=chosen)
