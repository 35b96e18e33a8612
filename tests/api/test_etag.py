"""ETag, Cache-Control and 304 (RFC 9110, sections 8.8.3 and 13.1.2)."""

import re

import pytest
from flask.testing import FlaskClient

from comment import Comment, Edit
from db import CommentDatabase


@pytest.fixture(
    params=["/comments", "/comments/1", "/comments?thread=&limit=1", "/counts?thread=&thread=b", "/feed.atom"]
)
def path(request: pytest.FixtureRequest, database: CommentDatabase) -> str:
    for text in ("one", "two"):
        database.create_comment(Comment(None, "Ada", text))
    return str(request.param)


def test_a_page_a_comment_and_counts_have_an_etag(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert re.fullmatch('"[0-9a-f]{32}"', response.headers["ETag"])
    assert response.headers["Cache-Control"] == "no-cache"
    head = client.head(path)
    assert (head.headers["ETag"], head.headers["Cache-Control"]) == (response.headers["ETag"], "no-cache")


@pytest.mark.parametrize(
    "if_none_match",
    ["{tag}", "W/{tag}", "*", '"other", {tag}', '"a,b", W/"c" , W/{tag},"d"', "{tag}, {tag}", ",, {tag}"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_304_without_a_body_for_what_the_client_has(
    client: FlaskClient, path: str, method: str, if_none_match: str
) -> None:
    tag = client.get(path).headers["ETag"]
    headers = {"If-None-Match": if_none_match.format(tag=tag)}
    response = client.open(path, method=method, headers=headers)
    assert (response.status_code, response.data) == (304, b"")
    assert (response.headers["ETag"], response.headers["Cache-Control"]) == (tag, "no-cache")
    assert response.headers["X-Request-ID"]
    assert not {"Content-Type", "Content-Length", "Link"} & set(response.headers.keys())


@pytest.mark.parametrize(
    "if_none_match", ["", '"other"', 'W/"other"', '"*"', "nonsense", '"', ",", '"unclosed, x', "W/"]
)
def test_200_for_what_it_has_not(client: FlaskClient, path: str, if_none_match: str) -> None:
    response = client.get(path, headers={"If-None-Match": if_none_match})
    assert response.status_code == 200
    assert response.data == client.get(path).data


def test_other_conditions_and_ranges_are_not_looked_at(client: FlaskClient, path: str) -> None:
    whole = client.get(path)
    for headers in (
        {"If-Match": '"other"'},
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"Range": "bytes=0-3"},
        {"Range": "bytes=0-3", "If-Range": whole.headers["ETag"]},
    ):
        response = client.get(path, headers=headers)
        assert (response.status_code, response.data) == (200, whole.data)


def test_other_content_has_another_etag(client: FlaskClient, database: CommentDatabase) -> None:
    tags = set()
    for n in range(3):
        tags.add(client.get("/comments").headers["ETag"])
        last = database.create_comment(Comment(None, "Ada", f"{n}"))
    tags.add(client.get("/comments").headers["ETag"])
    database.edit_comment(last, Edit("Grace"))
    tags.add(client.get("/comments").headers["ETag"])
    assert len(tags) == 5
    database.delete_comment(last)
    assert client.get("/comments").headers["ETag"] in tags, "as it was before"
    tag = client.get("/comments?limit=1").headers["ETag"]
    assert client.get("/comments?limit=2", headers={"If-None-Match": tag}).status_code == 200


def test_what_is_not_there_has_none(client: FlaskClient) -> None:
    response = client.get("/comments/1", headers={"If-None-Match": "*"})
    assert response.status_code == 404
    assert "ETag" not in response.headers
