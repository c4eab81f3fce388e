"""What a server logs, as lines: of text for people, or JSON objects for programs that collect them.

A record's attribute `fields` holds figures; the rest is as `logging` has it. Knows nothing of who logs what.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from undiced.cli.voice import VoiceHandler

if TYPE_CHECKING:
    from undiced.cli.voice import Voice


class LogFormat(StrEnum):
    """How a record becomes a line."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least serious records that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def log_to(voice: Voice, level: LogLevel, form: LogFormat) -> None:
    """From now on log our own records of a level, and libraries' warnings, through a voice."""
    handler = VoiceHandler(voice)
    handler.setFormatter(_Json() if form is LogFormat.JSON else _Text())
    chosen = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(chosen, logging.WARNING), handlers=[handler])
    logging.getLogger("undiced").setLevel(chosen)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Text(logging.Formatter):
    """`time LEVEL logger: message name=value name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname} {record.name}: {super().format(record)}"
        return " ".join([line, *(f"{name}={value}" for name, value in getattr(record, "fields", {}).items())])


class _Json(logging.Formatter):
    """One object; figures are members beside time, level, logger and message."""

    def format(self, record: logging.LogRecord) -> str:
        import msgspec

        members = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        members |= {"message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(members).decode()
