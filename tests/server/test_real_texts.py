"""Real texts from several clients at once, all read back by `next`: each once, character for character."""

import re
from collections import Counter
from pydoc_data.topics import topics

import httpx

from support.processes import serving
from support.texts import post_all, walk


def paragraphs(texts: list[str]) -> list[str]:
    """The paragraphs that fit into a comment."""
    found = (paragraph.strip() for text in texts for paragraph in re.split(r"\n\s*\n", text))
    return [paragraph for paragraph in found if 0 < len(paragraph) <= 10_000]


def check(url: str, comments: list[tuple[str, str]]) -> None:
    """Post all of them, walk all pages of all threads and of each, and compare."""
    post_all(url, comments)
    found = walk(url, "/comments")
    ids = [comment["id"] for comment in found]
    assert ids == sorted(set(ids))
    assert Counter((comment["thread"], comment["comment"]) for comment in found) == Counter(comments)
    for thread in {thread for thread, _ in comments}:
        path = str(httpx.URL("/comments", params={"thread": thread, "limit": 37}))
        assert walk(url, path) == [comment for comment in found if comment["thread"] == thread]


def test_real_texts(database_url: str) -> None:
    """The paragraphs of Python's own documentation, which is wherever Python is; a thread a topic."""
    comments = [(f"/{topic}", text) for topic in sorted(topics)[:20] for text in paragraphs([topics[topic]])]
    assert len(comments) > 200
    with serving(DATABASE_URL=database_url) as server:
        check(server.url, comments)
