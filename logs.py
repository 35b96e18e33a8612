"""The log: one event a line on stdout (https://12factor.net/logs), as JSON or as text."""

import json
import logging
import logging.config
import re
from datetime import UTC, datetime

from config import Config

# What a caller adds with `extra=`, in the order in which it is shown.
FIELDS = ("method", "path", "status", "duration_ms", "request_id")

TO_QUOTE = re.compile(r'[\s"=]')


class EventFormatter(logging.Formatter):
    """What both formats show: time (RFC 3339, UTC), level, message, and what else the event has."""

    def event(self, record: logging.LogRecord) -> dict[str, object]:
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        event |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return event


class JSONFormatter(EventFormatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.event(record))


class TextFormatter(EventFormatter):
    """A line for people: `time LEVEL message name=value …`, with line breaks and control characters escaped.

    A value with white space, a quote or a = is in quotes, as in JSON. So a path cannot look like another field.
    """

    def format(self, record: logging.LogRecord) -> str:
        event = self.event(record)
        head = f"{event.pop('time')} {str(event.pop('level')).upper()} {event.pop('message')}"
        line = " ".join([head, *(f"{name}={quoted(str(value))}" for name, value in event.items())])
        if line.isprintable():
            return line
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if TO_QUOTE.search(text) else text


class AddressFilter(logging.Filter):
    """Of the log of Flask's server, only the address on which it listens, and warnings."""

    def filter(self, record: logging.LogRecord) -> bool:
        found = re.search(r"^ \* Running on (http\S+)", record.getMessage(), re.MULTILINE)
        if found:
            record.msg, record.args = f"Listening on {found[1]}", ()
        return found is not None or record.levelno >= logging.WARNING


def logging_config(config: Config) -> dict[str, object]:
    """The settings for logging.config.dictConfig, of the application and of gunicorn alike."""
    formatter = JSONFormatter if config.log_format == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"address": {"()": AddressFilter}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stdout"}},
        "root": {"level": config.log_level.upper(), "handlers": ["stdout"]},
        "loggers": {
            # gunicorn would write to handlers of its own.
            "gunicorn.error": {"handlers": [], "propagate": True},
            # The application has its own line for each request.
            "werkzeug": {"level": "INFO", "filters": ["address"]},
        },
    }


def configure_logging(config: Config) -> None:
    """Send the log of this process to stdout as `config` says."""
    # Not shown, so not to be found out for each event: https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.config.dictConfig(logging_config(config))
