"""Real texts from several clients at once, all read back by `next`: each once, character for character."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pydoc_data.topics import topics

import httpx
from processes import PATIENCE, serving

CLIENTS = 8


def paragraphs(texts: list[str]) -> list[str]:
    """The paragraphs that fit into a comment."""
    found = (paragraph.strip() for text in texts for paragraph in re.split(r"\n\s*\n", text))
    return [paragraph for paragraph in found if 0 < len(paragraph) <= 10_000]


def post_all(url: str, comments: list[tuple[str, str]]) -> None:
    """Post (thread, text) by several clients at once, each on a connection that it keeps."""

    def post(client_number: int) -> None:
        with httpx.Client(base_url=url, timeout=PATIENCE) as http:
            for thread, text in comments[client_number::CLIENTS]:
                body = {"name": f"client {client_number}", "comment": text, "thread": thread}
                assert http.post("/comments", json=body).status_code == 201

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(post, range(CLIENTS)))


def walk(url: str, path: str) -> list[dict[str, str]]:
    """All comments from this page to the last."""
    comments: list[dict[str, str]] = []
    with httpx.Client(base_url=url, timeout=PATIENCE) as http:
        while path:
            page = http.get(path).json()
            comments += page["comments"]
            path = page.get("next", "")
    return comments


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
