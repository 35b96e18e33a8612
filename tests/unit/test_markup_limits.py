"""markup.py: no text makes the parser work much, and none comes out much longer. bench/rendering.py has the times."""

import logging
import sys
from types import FrameType

import pytest

import markup
from markup import render

from support.html import Document
from support.markdown import HOSTILE, LONG, PROSE, REPLY, UNITS, is_parsed, just_allowed

MOST_CALLS = 45_000  # of functions of Python, by one text
MOST_CHARACTERS = 100_000  # in the HTML of a comment


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


@pytest.mark.parametrize("unit", UNITS)
def test_nor_does_one_that_the_limits_just_allow(unit: str) -> None:
    test_no_text_takes_much_work_or_becomes_much_longer(just_allowed(unit))


def test_a_text_without_markup_takes_almost_none() -> None:
    assert calls(PROSE) <= 10


@pytest.mark.parametrize(
    "text",
    [
        "*a*\n" + "a\n" * markup.MAX_LINES + "a",
        "> " * (markup.MAX_DEPTH + 1) + "a",
        "- " * (markup.MAX_DEPTH // 2 + 1) + "a",
        "*a* " * (markup.MAX_WORK // 26 + 1) + "a",
        "[" * 200 + "a" + "]" * 200,
        "- a\n" * 250 + "- a",
    ],
    ids=["lines", "quotes", "lists", "work", "brackets", "items"],
)
def test_a_text_that_exceeds_a_limit_is_shown_as_it_was_typed(text: str) -> None:
    document = Document(render(text))
    assert document.text == text
    assert document.tags <= {"p", "br"}


@pytest.mark.parametrize(
    "text",
    [
        "*a*\n" + "a\n" * 200 + "a",
        "> " * markup.MAX_DEPTH + "a",
        "- " * (markup.MAX_DEPTH // 2) + "a",
        "*a* " * 300 + "a",
        "[a](http://b.c) " * 30 + "a",
        "- a\n" * 100 + "- a",
        "```\n" + "[*_<&`" * 1_600 + "\n```",
        LONG,
    ],
    ids=["lines", "quotes", "lists", "work", "links", "items", "code", "long"],
)
def test_a_text_within_the_limits_has_its_markup(text: str) -> None:
    assert is_parsed(text)


def test_a_text_that_exceeds_a_limit_keeps_its_paragraphs() -> None:
    text = "*a* b\r\n<c>\n \n\nd" + "\n*" * 600
    assert render(text).startswith("<p>*a* b<br>\n&lt;c&gt;</p>\n<p>d<br>\n*<br>\n*")


def test_the_parser_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        render(REPLY)
    assert caplog.messages == []
