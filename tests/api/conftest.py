"""Services with a configuration of their own."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from support.moderator import Open, Site


@pytest.fixture
def site(database_url: str) -> Iterator[Open]:
    """A function that starts the service with a configuration."""
    with ExitStack() as stack:

        def start(**config: Any) -> Site:
            started = Site(database_url, **config)
            stack.callback(started.database.close)
            return started

        yield start
