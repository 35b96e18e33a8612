"""markup.py: no text makes the parser work much, and none comes out much longer. bench/markup.py has the times."""

import sys
from types import FrameType

import pytest

import markup
from markup import render

from support.markdown import HOSTILE, UNITS, just_allowed

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


def is_parsed(text: str) -> bool:
    """Whether the text has not exceeded a limit."""
    return text.count("\n") <= markup.MAX_LINES and render(text) != markup._plain(text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:30]))
def test_no_text_takes_much_work(text: str) -> None:
    assert calls(text) <= MOST_CALLS
    assert len(render(text)) <= MOST_CHARACTERS


@pytest.mark.parametrize("unit", UNITS)
def test_nor_does_one_that_the_limits_just_allow(unit: str) -> None:
    text = just_allowed(unit, is_parsed)
    assert calls(text) <= MOST_CALLS
    assert len(render(text)) <= MOST_CHARACTERS
