"""markup.py: no text takes much work, and none comes out much longer. bench/rendering.py has the times."""

import sys
from types import FrameType

import pytest

import markup
from markup import render

from support.html import Document
from support.markdown import HOSTILE, LONG, PROSE, is_parsed

MOST_CALLS = 40_000  # of functions of Python, by one text
MOST_CHARACTERS = 150_000  # in the HTML of a comment


def calls(text: str) -> int:
    """How many functions of Python are called to render this."""
    count = 0

    def see(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(see)
    try:
        render(text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:20]))
def test_no_text_takes_much_work_or_becomes_much_longer(text: str) -> None:
    assert calls(text) <= MOST_CALLS
    assert len(render(text)) <= MOST_CHARACTERS


def test_a_text_without_markup_takes_almost_none() -> None:
    assert calls(PROSE) <= 10


@pytest.mark.parametrize(
    "text", ["> " * 51 + "*a*", "- " * 51 + "*a*", "> - " * 26 + "*a*", ">" * 9_000 + "*a*", "*a* " * 800 + "a"]
)
def test_a_text_that_exceeds_a_limit_is_shown_as_it_was_typed(text: str) -> None:
    document = Document(render(text))
    assert document.text == text
    assert document.tags <= {"p", "br"}


@pytest.mark.parametrize(
    "text",
    [
        "> " * markup.MAX_DEPTH + "a",
        "- " * markup.MAX_DEPTH + "a",
        "> a\n\nb\n\n" * 300,
        "*a*\n" + "a\n" * 1_400 + "a",
        "*a* " * 700,
        "[a](http://b.c) " * 600,
        "- a\n" * 900,
        "```\n" + "[*_<&`" * 1_600 + "\n```",
        LONG,
    ],
    ids=["quotes", "lists", "quotes one after another", "lines", "emphasis", "links", "items", "code", "long"],
)
def test_any_other_text_has_its_markup(text: str) -> None:
    assert is_parsed(text.strip())


def test_a_text_that_exceeds_a_limit_keeps_its_paragraphs() -> None:
    text = "*a* b\r\n<c>\n \n\nd\n" + "> " * 51
    assert render(text).startswith("<p>*a* b<br>\n&lt;c&gt;</p>\n<p>d<br>\n&gt; &gt;")
