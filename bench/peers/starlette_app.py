"""The same calls on Starlette, with orjson, and asyncpg's pool as it comes: it resets a connection after each use."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=6, max_size=6) as pool:
        app.state.pool = pool
        yield


def json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_UTC_Z), status, media_type="application/json")


async def list_comments(request: Request) -> Response:
    query = request.query_params
    limit, after = int(query.get("limit", 100)), int(query.get("after", 0))
    if not (1 <= limit <= 200 and after >= 0):
        return json({"error": "Limit must be 1 to 200, and after 0 or more."}, 400)
    rows = await request.app.state.pool.fetch(
        "SELECT id, name, comment, thread, created_at FROM comments WHERE thread = $1 AND id > $2 ORDER BY id LIMIT $3",
        query["thread"],
        after,
        limit,
    )
    return json({"comments": [dict(row) for row in rows]})


async def create_comment(request: Request) -> Response:
    body = orjson.loads(await request.body())
    name, comment, thread = body["name"].strip(), body["comment"].strip(), body.get("thread", "").strip()
    if not (1 <= len(name) <= 100 and 1 <= len(comment) <= 10_000 and len(thread) <= 512):
        return json({"error": "Name and comment are required, and must not be too long."}, 400)
    row = await request.app.state.pool.fetchrow(
        "INSERT INTO comments (thread, name, comment) VALUES ($1, $2, $3)"
        " RETURNING id, name, comment, thread, created_at",
        thread,
        name,
        comment,
    )
    return json(dict(row), 201)


routes = [Route("/comments", list_comments), Route("/comments", create_comment, methods=["POST"])]
app = Starlette(routes=routes, lifespan=lifespan)
