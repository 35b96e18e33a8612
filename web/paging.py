"""What lists have in common: the parameters of a page, what fits into it, and the path of the next one."""

from collections.abc import Callable
from itertools import accumulate, takewhile
from typing import TypeVar
from urllib.parse import urlencode

from comment import MAX_ID
from web.answer import Headers, to_json
from web.request import choice, whole_number

MAX_LIMIT = 200  # items of a page
DEFAULT_LIMIT = 100
DEFAULT_ORDER = "oldest"
MAX_PAGE = 990_000  # bytes of the items of a page: with the path of the next page, its body stays below a megabyte

Query = dict[str, str]
Item = TypeVar("Item")


def read_limit(query: Query) -> int:
    """How many items a page has at most. Raises BadRequest."""
    return whole_number(query, "limit", low=1, high=MAX_LIMIT) if "limit" in query else DEFAULT_LIMIT


def read_after(query: Query) -> int | None:
    """The id behind which a page begins. Raises BadRequest."""
    return whole_number(query, "after", low=0, high=MAX_ID) if "after" in query else None


def read_order(query: Query) -> str:
    """The order of a page: oldest or newest. Raises BadRequest."""
    return choice(query, "order", ("oldest", "newest"), default=DEFAULT_ORDER)


def that_fit(items: list[Item], to_bytes: Callable[[Item], bytes] = to_json) -> list[Item]:
    """The first items, in at most MAX_PAGE bytes. A comment with its HTML has at most 300,000 bytes in JSON."""
    sizes = accumulate(len(to_bytes(item)) for item in items)
    return [item for item, _ in zip(items, takewhile(lambda size: size <= MAX_PAGE, sizes), strict=False)]


def with_next(value: dict[str, object], path: str, **parameters: object) -> tuple[dict[str, object], Headers]:
    """A page that has more behind it: its value with the path of the next page, and the header Link.

    Parameters that are None, or as they are by default, are left out.
    """
    default = {"limit": DEFAULT_LIMIT, "order": DEFAULT_ORDER}
    given = {name: each for name, each in parameters.items() if each is not None and each != default.get(name)}
    next_path = f"{path}?{urlencode(given, safe='/')}"
    return {**value, "next": next_path}, [("Link", f'<{next_path}>; rel="next"')]
