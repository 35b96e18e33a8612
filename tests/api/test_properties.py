"""What goes in and what comes out, for whatever hypothesis thinks of."""

import json
from typing import Any

from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from comment import MAX_COMMENT, MAX_NAME, MAX_THREAD, NOT_IN_COMMENTS, NOT_IN_NAMES, VISIBLE, WHITE_SPACE

# The client is the same for all examples of a test, and each may leave comments behind.
on_one_client = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
any_text = st.text(st.characters(exclude_categories=[]))  # with lone surrogates and NUL
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=10,
)
field_values = json_values | any_text | st.text(min_size=101, max_size=600)
comment_like = st.fixed_dictionaries(
    {}, optional={"name": field_values, "comment": field_values, "thread": field_values}
)


def post(client: FlaskClient, body: bytes) -> Any:
    return client.post("/comments", data=body, content_type="application/json")


def trim(text: str) -> str:
    return text.strip(WHITE_SPACE)


def is_good(name: str, comment: str) -> bool:
    """Whether they break no rule for characters."""
    forbidden = [(name, pattern) for pattern in NOT_IN_NAMES.values()]
    forbidden += [(comment, pattern) for pattern in NOT_IN_COMMENTS.values()]
    return bool(VISIBLE.search(name) and comment) and not any(pattern.search(text) for text, pattern in forbidden)


@on_one_client
@given(name=text.filter(trim), comment=text.filter(trim), thread=text)
def test_text_comes_back_but_for_white_space_at_its_ends(
    client: FlaskClient, name: str, comment: str, thread: str
) -> None:
    name, comment, thread = name[:MAX_NAME], comment[:MAX_COMMENT], thread[:MAX_THREAD]
    response = post(client, json.dumps({"name": name, "comment": comment, "thread": thread}).encode())
    if not is_good(trim(name), trim(comment)):
        assert response.status_code == 400
        return
    assert response.status_code == 201
    stored = response.json
    assert [stored["name"], stored["comment"], stored["thread"]] == [trim(name), trim(comment), trim(thread)]
    assert client.get(response.headers["Location"]).json == stored
    page = client.get("/comments", query_string={"thread": thread, "after": stored["id"] - 1}).get_json()
    assert page == {"comments": [stored]}


@on_one_client
@given(value=json_values | comment_like)
def test_any_json_is_stored_or_refused(client: FlaskClient, value: object) -> None:
    before = client.get("/comments").get_json()
    response = post(client, json.dumps(value).encode())
    assert response.status_code in (201, 400)
    if response.status_code == 400:
        assert list(response.json) == ["error"]
        assert client.get("/comments").json == before


@on_one_client
@given(body=st.binary())
def test_any_bytes_are_refused(client: FlaskClient, body: bytes) -> None:
    assert post(client, body).status_code == 400
    assert client.get("/comments").json == {"comments": []}


@on_one_client
@given(
    query=st.dictionaries(
        st.sampled_from(["limit", "after", "order", "thread", "other"]), any_text.map(lambda s: s[:50])
    )
)
def test_any_query_is_answered_or_refused(client: FlaskClient, query: dict[str, str]) -> None:
    encoded = {name: value.encode("utf-8", "surrogatepass") for name, value in query.items()}
    response = client.get("/comments", query_string=encoded)
    assert response.status_code in (200, 400)
    assert response.content_type == "application/json"


@on_one_client
@given(path=any_text)
@example("openapi.yaml")
def test_any_path_is_answered_in_json(client: FlaskClient, path: str) -> None:
    response = client.get(
        "/comments/x", environ_overrides={"PATH_INFO": path.encode("utf-8", "replace").decode("latin-1")}
    )
    assert response.status_code in (200, 404)
    is_contract = response.status_code == 200 and path.strip("/") == "openapi.yaml"
    assert response.content_type == ("application/yaml" if is_contract else "application/json")
