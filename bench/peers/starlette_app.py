"""The same calls on Starlette, with orjson, and asyncpg's pool as it comes: it resets a connection after each use."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import nh3
import orjson
from markdown_it import MarkdownIt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

COLUMNS = "id, name, comment, thread, created_at, parent_id, html, status, edited_at, false AS verified"

markdown = MarkdownIt("commonmark", {"html": False, "breaks": True})
cleaner = nh3.Cleaner(link_rel="nofollow ugc noopener noreferrer")


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
        f"SELECT {COLUMNS} FROM comments WHERE thread = $1 AND id > $2 ORDER BY id LIMIT $3",
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
    parent_id = body.get("parent_id")
    if not (parent_id is None or (type(parent_id) is int and 1 <= parent_id < 2**63)):
        return json({"error": "Parent_id must be a number from 1."}, 400)
    try:
        row = await request.app.state.pool.fetchrow(
            "INSERT INTO comments (thread, name, comment, parent_id, html) VALUES ($1, $2, $3, $4, $5)"
            f" RETURNING {COLUMNS}",
            thread,
            name,
            comment,
            parent_id,
            cleaner.clean(markdown.render(comment)).strip(),
        )
    except asyncpg.ForeignKeyViolationError:
        return json({"error": "The comment that this answers does not exist."}, 400)
    return json(dict(row), 201)


routes = [Route("/comments", list_comments), Route("/comments", create_comment, methods=["POST"])]
app = Starlette(routes=routes, lifespan=lifespan)
