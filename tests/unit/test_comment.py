"""comment.py: what is a comment and what is not."""

import json

import pytest

from comment import Comment, Edit, InvalidInput, clean_thread, with_html


def read(**fields: object) -> Comment:
    return Comment.from_json(json.dumps({"name": "Ada", "comment": "Hello"} | fields).encode())


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        Comment.from_json(body)
    return str(caught.value)


def test_the_fields_are_read() -> None:
    assert read(thread="/post", parent_id=7) == Comment(None, "Ada", "Hello", "/post", parent_id=7, html="<p>Hello</p>")


def test_a_comment_needs_no_thread() -> None:
    assert read().thread == ""
    assert read(thread=None).thread == ""
    assert read(thread=" \n").thread == ""


def test_other_keys_are_ignored() -> None:
    others = {"id": 7, "created_at": "2000-01-01T00:00:00Z", "html": "<b>", "status": "deleted", "verified": True}
    assert read(**others, edited_at="2000-01-01T00:00:00Z", author_hash="x", admin=True) == read()


def test_white_space_is_trimmed_at_both_ends_only() -> None:
    comment = read(name="\u2003Ada  Lovelace\t", comment="\ufeff\v one\n\n  two \u2029\n", thread=" a b ")
    assert comment[:4] == (None, "Ada  Lovelace", "one\n\n  two", "a b")


def test_of_two_equal_names_the_last_counts() -> None:
    assert Comment.from_json(b'{"name": "Ada", "comment": 1, "comment": "Hello"}') == read()


@pytest.mark.parametrize("name", [None, "", " ", "\u3000\n"])
def test_name_is_required(name: str | None) -> None:
    assert refusal(json.dumps({"name": name}).encode()) == "Name is required."
    assert refusal(b'{"comment": "Hello"}') == "Name is required."


@pytest.mark.parametrize("comment", [None, "", " ", "\u3000\n"])
def test_comment_is_required(comment: str | None) -> None:
    assert refusal(json.dumps({"name": "Ada", "comment": comment}).encode()) == "Comment is required."
    assert refusal(b'{"name": "Ada"}') == "Comment is required."


@pytest.mark.parametrize("value", [0, 1, 1.5, True, False, [], ["Ada"], {}, {"a": "b"}])
@pytest.mark.parametrize("field", ["name", "comment", "thread"])
def test_a_field_must_be_a_string(field: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=rf"^{field.capitalize()} must be a string\.$"):
        read(**{field: value})


@pytest.mark.parametrize(("field", "limit"), [("name", 100), ("comment", 10_000), ("thread", 512)])
def test_lengths_count_code_points_after_trimming(field: str, limit: int) -> None:
    longest = "\U0001f600" * limit  # two UTF-16 units and four bytes each
    assert getattr(read(**{field: f" {longest} "}), field) == longest
    with pytest.raises(InvalidInput, match=rf"^{field.capitalize()} must not be longer than {limit:,} characters\.$"):
        read(**{field: longest + "x"})


@pytest.mark.parametrize("field", ["name", "comment", "thread"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\0b", "not contain the character NUL"),
        ("\0", "not contain the character NUL"),
        ("\ud800", "be Unicode text: it contains a lone surrogate"),
        ("a\udfffb", "be Unicode text: it contains a lone surrogate"),
        ("\udc00\ud800", "be Unicode text: it contains a lone surrogate"),
    ],
)
def test_what_postgresql_can_not_store_is_refused(field: str, value: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{field.capitalize()} must {reason}\.$"):
        read(**{field: value})


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        *(("name", f"A{c}a", "Name must not contain line breaks.") for c in "\n\v\f\r\x85\u2028\u2029"),
        *(("name", f"A{c}a", "Name must not contain control characters.") for c in "\x01\t\x1b\x1e\x7f\x80\x9f"),
        *(
            ("name", f"A{c}a", "Name must not contain characters that change the direction of text.")
            for c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        ),
        *(
            ("name", c, "Name must contain a visible character.")
            for c in ["\u200b", "\u2800", "\u3164", "\u00ad", "\u200d\ufe0f", "\u115f \u1160", "\U000e0020", "\u034f"]
        ),
        *(
            ("comment", f"A{c}a", "Comment must not contain control characters other than tabs and line breaks.")
            for c in "\x01\x08\v\f\x1b\x1e\x7f\x85\x9f"
        ),
    ],
)
def test_characters_that_would_harm_the_page_are_refused(field: str, value: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(**{field: value})
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "name",
    [
        "O\u2019Brien",
        "\u0645\u062d\u0645\u062f",
        "\u05d3\u05d5 (Ada)",
        "\U0001f469\u200d\U0001f4bb",
        "\u0928\u0940",
        ".",
    ],
)
def test_names_of_every_script_are_taken(name: str) -> None:
    assert read(name=name).name == name


def test_tabs_and_line_breaks_stay_in_a_comment() -> None:
    assert read(comment="a\tb\nc\r\nd\u2028e\u202ef").comment == "a\tb\nc\r\nd\u2028e\u202ef"


def test_a_surrogate_pair_is_a_character() -> None:
    assert read(name="\ud83d\ude00").name == "\U0001f600"


HELLO = b'"name": "Ada", "comment": "Hello"'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"name=Ada&comment=Hello",
        b"{" + HELLO,
        b"{" + HELLO + b",}",
        b"{'name': 'Ada'}",
        b"{" + HELLO + b"} {}",
        b"{" + HELLO + b', "x": NaN}',
        b"{" + HELLO + b', "x": -Infinity}',
        b"{" + HELLO + b', "x": "\t"}',
        b"\xef\xbb\xbf{" + HELLO + b"}",
        ("{" + HELLO.decode() + "}").encode("utf-16"),
        ("{" + HELLO.decode() + "}").encode("utf-32-le"),
        b"{" + HELLO.replace(b"Ada", b"Ad\xe4") + b"}",
        b"{" + HELLO.replace(b"Ada", b"\xed\xa0\x80") + b"}",
        b"[" * 100_000 + b"]" * 100_000,
        b"{" + HELLO + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":' * 40_000 + b"1" + b"}" * 40_000,
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refusal(body) == "The body must be JSON in UTF-8."


@pytest.mark.parametrize("body", [b"[1]", b"[]", b"null", b"1", b'"Ada"', b"true", b"1e999", b"9" * 5000])
def test_what_is_not_an_object_is_refused(body: bytes) -> None:
    assert refusal(body) == "The body must be a JSON object."


@pytest.mark.parametrize("number", [b"1e999", b"9" * 5000, b"-9223372036854775809", b"-0"])
def test_any_number_is_json(number: bytes) -> None:
    assert Comment.from_json(b"{" + HELLO + b', "x": ' + number + b"}") == read()


def test_a_lone_surrogate_in_another_key_is_no_matter() -> None:
    assert read(x="\ud800") == read()


def test_to_dict_is_what_the_api_shows() -> None:
    times = "2026-11-23T08:10:00.120000Z", "2026-11-23T08:12:00.000000Z"
    comment = Comment(2, "Ada", "Hello", "/post", times[0], 1, "<p>Hello</p>", "published", times[1])
    assert comment.to_dict() == {
        "id": 2,
        "name": "Ada",
        "comment": "Hello",
        "thread": "/post",
        "created_at": "2026-11-23T08:10:00.120000Z",
        "parent_id": 1,
        "html": "<p>Hello</p>",
        "status": "published",
        "edited_at": "2026-11-23T08:12:00.000000Z",
        "verified": False,
    }


def test_a_comment_that_is_not_stored_yet() -> None:
    comment = Comment(None, "Ada", "Hello").to_dict()
    assert [name for name, value in comment.items() if value is None] == [
        "id",
        "created_at",
        "parent_id",
        "html",
        "edited_at",
    ]
    assert (comment["thread"], comment["status"]) == ("", "published")


def test_a_row_without_html_gets_it() -> None:
    """Earlier releases have stored none."""
    row = (1, "Ada", "*Hello*", "", "2026-11-23T08:10:00.120000Z", None, None, "published", None)
    assert Comment.from_row(row).html == "<p><em>Hello</em></p>"
    kept = (*row[:6], "<p>as it was</p>", *row[7:])
    assert Comment.from_row(kept).html == "<p>as it was</p>"


def test_of_many_rows_without_html_the_first_get_markup_and_the_others_paragraphs() -> None:
    """Else a page of them would take seconds, and nobody else would be served meanwhile."""
    comments = [Comment(n, "Ada", "*x*" + "x" * 9_997) for n in range(7)]
    comments[0] = comments[0]._replace(html="<p>as it was</p>")
    shown = [comment.html or "" for comment in with_html(comments)]
    assert shown[0] == "<p>as it was</p>"
    assert [html.startswith("<p><em>x</em>") for html in shown[1:]] == [True] * 5 + [False]
    assert shown[6] == f"<p>*x*{'x' * 9_997}</p>"


@pytest.mark.parametrize("parent_id", [1, 2**63 - 1])
def test_a_reply_names_its_parent(parent_id: int) -> None:
    assert read(parent_id=parent_id).parent_id == parent_id


def test_a_comment_needs_no_parent() -> None:
    assert read().parent_id is None
    assert read(parent_id=None).parent_id is None


@pytest.mark.parametrize("value", ["1", 1.0, 1.5, 0, -1, 2**63, 10**30, True, [1], {}, "", 1e300])
def test_what_is_no_id_of_a_parent_is_refused(value: object) -> None:
    body = json.dumps({"name": "Ada", "comment": "Hello", "parent_id": value}).encode()
    assert refusal(body) == "Parent_id must be a whole number from 1 to 9223372036854775807."


def edit(**fields: object) -> Edit:
    return Edit.from_json(json.dumps(fields).encode())


def test_an_edit_has_what_changes() -> None:
    assert edit(comment=" *Hello* ") == Edit(None, "*Hello*", "<p><em>Hello</em></p>")
    assert edit(name=" Grace ") == Edit("Grace")
    assert edit(name="Grace", comment="Hello", id=7, thread="/other", parent_id="x", x=1) == Edit(
        "Grace", "Hello", "<p>Hello</p>"
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Name or comment is required."),
        ({"thread": "/post"}, "Name or comment is required."),
        ({"comment": None}, "Comment is required."),
        ({"comment": " \n\u2003"}, "Comment is required."),
        ({"comment": 1}, "Comment must be a string."),
        ({"comment": "x" * 10_001}, "Comment must not be longer than 10,000 characters."),
        ({"comment": "Hello", "name": ""}, "Name is required."),
        ({"name": "A\na"}, "Name must not contain line breaks."),
        ({"name": "\u200b"}, "Name must contain a visible character."),
    ],
)
def test_an_edit_obeys_the_same_rules(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        edit(**fields)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("body", [b"[]", b"null", b"x", b""])
def test_an_edit_is_an_object(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        Edit.from_json(body)


def test_a_thread_in_a_query_obeys_the_same_rules() -> None:
    assert clean_thread(" /post ") == "/post"
    with pytest.raises(InvalidInput):
        clean_thread("x" * 513)
