"""Nothing out of a model, a file or a request drives a terminal."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiced.cli.report import show
from undiced.cli.terminal import emit
from undiced.cli.voice import VoiceHandler
from undiced.core.errors import CheckpointError, UndicedError
from undiced.core.printable import printable
from undiced.machine import find_machine

HOSTILE = "\x1b]0;owned\x07\x9b31m\x7f\ud800"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@given(st.text(st.characters(codec=None, max_codepoint=0x2FFFF)))
def test_what_is_printed_has_no_controls_and_plain_text_stays(text: str) -> None:
    shown = printable(text)
    assert not _CONTROLS.search(shown)
    shown.encode()
    if not _CONTROLS.search(text.replace("\r\n", "\n")):
        assert shown == text.replace("\r\n", "\n")


def test_errors_quote_files_and_requests_safely() -> None:
    error = CheckpointError(f"The file {HOSTILE} is damaged.", remedy=f"Not {HOSTILE}.")
    assert str(error) == error.message + " " + error.remedy
    assert not _CONTROLS.search(str(error)) and "\\x1b]0;owned\\x07" in error.message


def test_a_machine_named_by_escapes_is_refused_without_them() -> None:
    with pytest.raises(UndicedError) as caught:
        find_machine("\x1b[31mwse3")
    assert "\x1b" not in str(caught.value)


def test_json_lines_escape_what_json_would_let_pass(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"text": "a\x1b\x7f\x9bb"})
    line = capsys.readouterr().out
    assert not _CONTROLS.search(line.replace("\n", ""))
    assert json.loads(line) == {"text": "a\x1b\x7f\x9bb"}


def test_reports_of_files_show_names_without_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    show({"model": "\x1b[2Jmodel"})
    assert "\x1b" not in capsys.readouterr().out


def test_logs_show_requests_without_escapes() -> None:
    said: list[str] = []

    class Listening:
        def say(self, line: str, *, where: int = 1) -> None:
            said.append(line)

    handler = VoiceHandler(Listening())  # type: ignore[arg-type]
    handler.emit(logging.LogRecord("x", logging.WARNING, "f", 1, "path %s", ("/\x1b[31m",), None))
    assert said == ["path /\\x1b[31m"]


def test_errors_name_files_without_escapes() -> None:
    """On a terminal, where the command line's library lets escape sequences pass."""
    wrong = "wafer\x1b[31m.gif"
    main, other = os.openpty()
    try:
        code = "from undiced.cli import main; main()"
        command = [sys.executable, "-c", code, "map", "none", "-o", wrong]
        ended = subprocess.run(command, stderr=other, stdout=subprocess.DEVNULL, timeout=60)
        said = os.read(main, 4096)
    finally:
        os.close(main)
        os.close(other)
    assert ended.returncode == 2 and rb"wafer\x1b[31m.gif is neither" in said
