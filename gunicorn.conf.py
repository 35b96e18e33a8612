"""How the processes run. gunicorn reads this file by itself; https://gunicorn.org/reference/settings/ has the settings.

gunicorn takes every global variable that has the name of a setting. `config` is such a name: hence `settings`.
"""

from gevent import monkey

# Before anything else is imported, since the application is made before the workers (preload_app below).
monkey.patch_all()

import errno
import gc
import resource
import signal
import socket
from pathlib import Path
from typing import Any

import gevent
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from config import Config, ConfigError
from logs import logging_config
from web.service import log_start

settings = Config.from_environment()

# `gunicorn` alone is enough.
wsgi_app = "app:create_app()"

# An IPv6 address stands in brackets.
bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"

# Processes use the cores. In each, greenlets wait for the database and for clients. A client that is slow, or says
# nothing, holds a socket and some 40 kB, and nobody waits behind it.
workers = settings.web_concurrency
worker_class = "web.worker.Worker"

# Seconds. A connection is closed if no complete head of a request arrives in that time: the first one, or the next.
keepalive = 2

# The most clients of a process: its limit on open files, less a reserve for PostgreSQL and the log.
worker_connections = 10_000
reserve = 100 + settings.database_connections
_, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
soft_limit = worker_connections + reserve
if hard_limit != resource.RLIM_INFINITY:
    soft_limit = min(soft_limit, hard_limit)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard_limit))
worker_connections = max(1, soft_limit - reserve)

# Longer than any call takes. After that a worker ends, also if a slow client has not got its answer yet.
graceful_timeout = 10  # seconds

# The application is made once, before the workers, so that an error in it stops the start, with one line. The workers
# share no connection: each opens its own, when its first requests need them.
preload_app = True

# A thread of 512 characters outside ASCII makes a query of 6,144 bytes; the default is 4,094.
limit_request_line = 8190

# No proxy's headers are trusted. So nobody can set SCRIPT_NAME or PATH_INFO by a header.
forwarded_allow_ips = ""

# One event a line on stdout, in our format.
logconfig_dict = logging_config(settings)
loglevel = settings.log_level


class NoAccessLog(Logger):  # type: ignore[misc]
    """The application logs each request itself. gunicorn would format a second line, which no handler writes."""

    def access(self, *_: object) -> None:
        pass


logger_class = NoAccessLog

# The heartbeat's file in memory, where there is such a place: on a slow or read-only disk workers would hang.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108

# A control socket below $HOME, by default: nothing here uses it, and a read-only container has no place for it.
control_socket_disable = True

# The last line of the start says what to try, if clients can use the address as it stands there.
BODY = '{"name": "Ada", "comment": "Hello"}'
TRY = f" Try: curl -s http://{bind}/comments -H 'Content-Type: application/json' -d '{BODY}'"
is_for_all = settings.host in ("0.0.0.0", "::")  # noqa: S104


def on_starting(server: Any) -> None:
    """Say at once that the port is taken: gunicorn would try five times, a second each."""
    if server.master_pid:  # a new release takes the socket over from the running one (SIGUSR2)
        return
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
            raise ConfigError(f"PORT {settings.port} on HOST {settings.host} can't be listened on: {reason}.") from None


def when_ready(server: Any) -> None:
    """Let the workers share the memory of what was made before them: their garbage collectors leave it alone."""
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Stop gracefully on SIGQUIT, and ignore SIGINT. The last of the first workers logs whether the service is ready.

    Ctrl-C sends SIGINT to the workers too; the master then sends them SIGQUIT. gunicorn's own handlers of both can
    deadlock, and they drop accepted requests.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, worker.handle_exit)
    if worker.age == worker.cfg.workers:
        gevent.spawn(log_start, worker.wsgi.extensions["database"], "" if is_for_all else TRY)
