"""The tutorial's way, plain Flask on psycopg2 and its pool, mended so that it commits: a BEGIN and a COMMIT each."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import nh3
from flask import Flask, Response, jsonify, request
from markdown_it import MarkdownIt
from psycopg2.errors import ForeignKeyViolation
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.pool import ThreadedConnectionPool

COLUMNS = "id, name, comment, thread, created_at, parent_id, html, status, edited_at, false AS verified"

markdown = MarkdownIt("commonmark", {"html": False, "breaks": True})
cleaner = nh3.Cleaner(link_rel="nofollow ugc noopener noreferrer")
app = Flask(__name__)
app.json.sort_keys = False  # type: ignore[attr-defined]
pool = ThreadedConnectionPool(6, 6, os.environ["DATABASE_URL"])  # gunicorn imports this in each worker


@contextmanager
def connection() -> Iterator[Connection]:
    taken = pool.getconn()
    try:
        with taken:
            yield taken
    finally:
        pool.putconn(taken)


def query(statement: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
    with connection() as taken, taken.cursor() as cursor:
        cursor.execute(statement, parameters)
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [row | {name: row[name] and row[name].isoformat() for name in ("created_at", "edited_at")} for row in rows]


@app.get("/comments")
def list_comments() -> Response:
    rows = query(
        f"SELECT {COLUMNS} FROM comments WHERE thread = %s AND id > %s ORDER BY id LIMIT %s",
        (request.args["thread"], request.args.get("after", 0, int), request.args.get("limit", 100, int)),
    )
    return jsonify({"comments": rows})


@app.post("/comments")
def create_comment() -> tuple[Response, int]:
    body = request.get_json()
    name, comment, thread = body["name"].strip(), body["comment"].strip(), body.get("thread", "").strip()
    if not (1 <= len(name) <= 100 and 1 <= len(comment) <= 10_000 and len(thread) <= 512):
        return jsonify({"error": "Name and comment are required, and must not be too long."}), 400
    parent_id = body.get("parent_id")
    if not (parent_id is None or (type(parent_id) is int and 1 <= parent_id < 2**63)):
        return jsonify({"error": "Parent_id must be a number from 1."}), 400
    html = cleaner.clean(markdown.render(comment)).strip()
    try:
        [row] = query(
            "INSERT INTO comments (thread, name, comment, parent_id, html) VALUES (%s, %s, %s, %s, %s)"
            f" RETURNING {COLUMNS}",
            (thread, name, comment, parent_id, html),
        )
    except ForeignKeyViolation:
        return jsonify({"error": "The comment that this answers does not exist."}), 400
    return jsonify(row), 201
