"""Waiting for a socket: in a greenlet under gunicorn, in a thread under `flask run` and in commands.

gunicorn.conf.py patches the standard library before it imports this. Then gevent's own functions are used, because they
take less time than the patched ones.
"""

import math
import select
import sys

IS_GREEN = "gevent.monkey" in sys.modules and sys.modules["gevent.monkey"].is_module_patched("socket")

if IS_GREEN:
    from gevent.monkey import get_original
    from gevent.socket import wait_read, wait_write

    poll = get_original("select", "poll")
else:
    poll = select.poll


def wait_for(descriptor: int, to_read: bool, timeout: float) -> None:
    """Wait until the socket can be read, or else written. Raises TimeoutError after `timeout` seconds (or math.inf)."""
    timeout = max(0, timeout)
    if IS_GREEN:
        (wait_read if to_read else wait_write)(descriptor, timeout=None if timeout == math.inf else timeout)
    elif not _poll(descriptor, to_read, None if timeout == math.inf else math.ceil(timeout * 1000)):
        raise TimeoutError("timed out")


def can_be_read(descriptor: int) -> bool:
    """Whether there is something to read on the socket now, or its end. It lets no other greenlet run."""
    return _poll(descriptor, True, 0)


def _poll(descriptor: int, to_read: bool, milliseconds: int | None) -> bool:
    """The operating system's poll(), since its select() fails above descriptor 1,023."""
    polled = poll()
    polled.register(descriptor, select.POLLIN if to_read else select.POLLOUT)
    return bool(polled.poll(milliseconds))
