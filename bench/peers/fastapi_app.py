"""The same calls as FastAPI's documentation would write them, on asyncpg's pool: the yardstick."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import asyncpg
from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, StringConstraints


class NewComment(BaseModel):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    comment: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
    thread: Annotated[str, StringConstraints(strip_whitespace=True, max_length=512)] = ""


class Comment(BaseModel):
    id: int
    name: str
    comment: str
    thread: str
    created_at: datetime


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
        "SELECT id, name, comment, thread, created_at FROM comments WHERE thread = $1 AND id > $2 ORDER BY id LIMIT $3",
        thread,
        after,
        limit,
    )
    return Page(comments=[Comment(**row) for row in rows])


@app.post("/comments", status_code=201)
async def create_comment(request: Request, comment: NewComment) -> Comment:
    row = await request.app.state.pool.fetchrow(
        "INSERT INTO comments (thread, name, comment) VALUES ($1, $2, $3)"
        " RETURNING id, name, comment, thread, created_at",
        comment.thread,
        comment.name,
        comment.comment,
    )
    return Comment(**row)
