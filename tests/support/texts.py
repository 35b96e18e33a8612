"""Clients that post many comments at once, and read them all again by `next`."""

from concurrent.futures import ThreadPoolExecutor

import httpx

from support.processes import PATIENCE

CLIENTS = 8


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
