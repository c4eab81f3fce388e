"""A server's log as lines: text that people read, JSON that programs collect, of the level that was asked for."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest

from undiced.cli.logs import LogFormat, LogLevel, log_to
from undiced.cli.voice import ERROR


class Said:
    """A voice that keeps what it is to say."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str, *, where: int) -> None:
        assert where == ERROR
        self.lines.append(line)


@pytest.fixture
def logged() -> Iterator[Callable[..., list[str]]]:
    """Sets up logging, logs, and returns the lines; the process's own logging comes back afterwards."""
    root, own = logging.getLogger(), logging.getLogger("undiced")
    levels = root.level, own.level

    def lines(level: LogLevel, form: LogFormat, *calls: Callable[[], None]) -> list[str]:
        voice, handlers, root.handlers = Said(), root.handlers, []
        log_to(voice, level, form)  # type: ignore[arg-type]
        for call in calls:
            call()
        root.handlers = handlers
        return voice.lines

    yield lines
    root.setLevel(levels[0])
    own.setLevel(levels[1])


def request() -> None:
    logging.getLogger("undiced.request").info("request", extra={"fields": {"id": "req_1", "status": 200}})


def death() -> None:
    logging.getLogger("undiced.engine").error("The engine (process %d) died.", 7)


def bug() -> None:
    try:
        raise ValueError("no\nsuch")
    except ValueError:
        logging.getLogger("undiced.api").exception("failed")


def test_text_has_time_level_logger_message_and_figures(logged: Callable[..., list[str]]) -> None:
    first, second = logged(LogLevel.INFO, LogFormat.TEXT, request, death)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(stamp + r" INFO undiced\.request: request id=req_1 status=200", first)
    assert re.fullmatch(stamp + r" ERROR undiced\.engine: The engine \(process 7\) died\.", second)


def test_json_is_one_object_a_line_bugs_included(logged: Callable[..., list[str]]) -> None:
    lines = [json.loads(line) for line in logged(LogLevel.INFO, LogFormat.JSON, request, death, bug)]
    assert lines[0].items() >= {"level": "info", "logger": "undiced.request", "id": "req_1", "status": 200}.items()
    assert lines[1]["message"] == "The engine (process 7) died."
    assert "ValueError: no\nsuch" in lines[2]["exception"]


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 3), ("warning", 2), ("error", 2)])
def test_the_level_says_what_is_left_out(logged: Callable[..., list[str]], level: str, count: int) -> None:
    lines = logged(LogLevel(level), LogFormat.JSON, request, death, bug)
    assert len(lines) == count


def test_libraries_are_heard_from_warnings_on(logged: Callable[..., list[str]]) -> None:
    library = logging.getLogger("some.library")
    assert len(logged(LogLevel.DEBUG, LogFormat.TEXT, lambda: library.info("x"), lambda: library.warning("y"))) == 1
