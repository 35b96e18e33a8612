"""The same calls as FastAPI's documentation would write them, on asyncpg's pool: the yardstick."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import asyncpg
import nh3
from fastapi import FastAPI, HTTPException, Query, Request
from markdown_it import MarkdownIt
from pydantic import BaseModel, Field, StringConstraints

COLUMNS = "id, name, comment, thread, created_at, parent_id, html, status, edited_at"

markdown = MarkdownIt("commonmark", {"html": False, "breaks": True})
cleaner = nh3.Cleaner(link_rel="nofollow ugc noopener noreferrer")


class NewComment(BaseModel):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    comment: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
    thread: Annotated[str, StringConstraints(strip_whitespace=True, max_length=512)] = ""
    parent_id: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class Comment(BaseModel):
    id: int
    name: str
    comment: str
    thread: str
    created_at: datetime
    parent_id: int | None
    html: str
    status: str
    edited_at: datetime | None
    verified: bool = False


class Page(BaseModel):
    comments: list[Comment]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=6, max_size=6) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/comments")
async def list_comments(
    request: Request,
    thread: str,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    after: Annotated[int, Query(ge=0)] = 0,
) -> Page:
    rows = await request.app.state.pool.fetch(
        f"SELECT {COLUMNS} FROM comments WHERE thread = $1 AND id > $2 ORDER BY id LIMIT $3",
        thread,
        after,
        limit,
    )
    return Page(comments=[Comment(**row) for row in rows])


@app.post("/comments", status_code=201)
async def create_comment(request: Request, comment: NewComment) -> Comment:
    try:
        row = await request.app.state.pool.fetchrow(
            "INSERT INTO comments (thread, name, comment, parent_id, html) VALUES ($1, $2, $3, $4, $5)"
            f" RETURNING {COLUMNS}",
            comment.thread,
            comment.name,
            comment.comment,
            comment.parent_id,
            cleaner.clean(markdown.render(comment.comment)).strip(),
        )
    except asyncpg.ForeignKeyViolationError:
        raise HTTPException(400, "The comment that this answers does not exist.") from None
    return Comment(**row)
