"""The tutorial's way, plain Flask on psycopg2 and its pool, mended so that it commits: a BEGIN and a COMMIT each."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flask import Flask, Response, jsonify, request
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.pool import ThreadedConnectionPool

COLUMNS = ("id", "name", "comment", "thread", "created_at")

app = Flask(__name__)
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
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in cursor.fetchall()]
    return [row | {"created_at": row["created_at"].isoformat()} for row in rows]


@app.get("/comments")
def list_comments() -> Response:
    rows = query(
        "SELECT id, name, comment, thread, created_at FROM comments WHERE thread = %s AND id > %s ORDER BY id LIMIT %s",
        (request.args["thread"], request.args.get("after", 0, int), request.args.get("limit", 100, int)),
    )
    return jsonify({"comments": rows})


@app.post("/comments")
def create_comment() -> tuple[Response, int]:
    body = request.get_json()
    name, comment, thread = body["name"].strip(), body["comment"].strip(), body.get("thread", "").strip()
    if not (1 <= len(name) <= 100 and 1 <= len(comment) <= 10_000 and len(thread) <= 512):
        return jsonify({"error": "Name and comment are required, and must not be too long."}), 400
    [row] = query(
        "INSERT INTO comments (thread, name, comment) VALUES (%s, %s, %s)"
        " RETURNING id, name, comment, thread, created_at",
        (thread, name, comment),
    )
    return jsonify(row), 201
