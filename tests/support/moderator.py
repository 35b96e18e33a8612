"""A client of the API who may be a reader, an author or a moderator."""

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient

from app import create_app
from config import Config
from db import CommentDatabase

ADMIN = "the-token-of-the-moderators"
KEY = "a-key-of-an-author-0123456789"
OTHER_KEY = "a-key-of-another-author-01234"


def bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


class Site:
    """The service with this configuration."""

    def __init__(self, database_url: str, **config: Any) -> None:
        self.config = Config(**{"admin_token": ADMIN} | config)
        self.database = CommentDatabase(database_url, may_hold=self.config.is_moderated)
        self.http: FlaskClient = create_app(self.config, self.database).test_client()

    def post(self, text: str = "Hello", key: str | None = None, retry: str | None = None, **fields: Any) -> Any:
        """POST a comment: its answer."""
        headers = bearer(key) | ({"Idempotency-Key": retry} if retry else {})
        return self.http.post("/comments", json={"name": "Ada", "comment": text, **fields}, headers=headers)

    def call(self, method: str, path: str, token: str | None = ADMIN, **options: Any) -> Any:
        """A call of a moderator, or with another key."""
        headers = bearer(token) | options.pop("headers", {})
        return self.http.open(path, method=method, headers=headers, **options)

    def decide(self, comment_id: int, status: str) -> Any:
        return self.call("PATCH", f"/comments/{comment_id}", json={"status": status})

    def ids(self, query: str = "", token: str | None = None) -> list[int]:
        """The ids of a page: the public one, or a moderator's."""
        answer = self.call("GET", f"/comments?{query}", token)
        assert answer.status_code == 200, answer.get_json()
        return [comment["id"] for comment in answer.get_json()["comments"]]

    def queue(self, status: str) -> list[int]:
        return self.ids(f"status={status}", ADMIN)


Open = Callable[..., Site]
