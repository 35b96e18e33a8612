"""What a comment would look like."""

from comment import clean_comment, read_object
from markup import render
from postgres.deadline import new_deadline
from web.answer import Answer, json_answer
from web.comments import identify_author
from web.judging import count_address
from web.request import Request


def preview(request: Request) -> Answer:
    """`POST /preview`: the HTML of a text. Nothing is stored. POST_LIMIT bounds it, with a count of its own.

    Raises InvalidInput, HTTPException, LimitReached and DatabaseUnavailable.
    """
    identity = identify_author(request)
    text = clean_comment(read_object(request.json_body()).get("comment"))
    if not identity.is_moderator:
        count_address(request, "preview", new_deadline())
    return json_answer(200, {"html": render(text)})
