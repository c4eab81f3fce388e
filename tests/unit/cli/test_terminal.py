"""Progress: nothing for what is over at once, lines where there is no terminal, the second phase by its own name."""

from __future__ import annotations

import io
import signal
import sys
import time
from pathlib import Path

import pytest
from support.pseudo_terminal import PseudoTerminal
from support.screen import seen

from undiced.cli import terminal
from undiced.cli.conversation import interruptible
from undiced.core.errors import InvalidRequestError


def test_fast_work_says_nothing(capsys):
    with terminal.Bar("Packing") as bar:
        bar(50, 100)
        bar(100, 100)
    assert capsys.readouterr().err == ""


def test_slow_work_says_lines_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(terminal, "_PLAIN_EVERY_S", 0.01)
    with terminal.Bar("Fetching m", then="Packing weights") as bar:
        for done in (10, 50):
            time.sleep(0.02)
            bar(done, 100)
        time.sleep(0.02)
        bar(1, 10)
    assert capsys.readouterr().err.splitlines() == ["Fetching m: 10%", "Fetching m: 50%", "Packing weights: 10%"]


def test_quiet_bars_are_quiet(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(terminal, "_PLAIN_EVERY_S", 0.0)
    with terminal.Bar("x", quiet=True) as bar:
        bar(1, 2)
    assert capsys.readouterr().err == ""


def test_what_is_no_whole_line_is_shown_once_the_bar_is_closed():
    program = """
from undiced.cli import terminal
terminal._PATIENCE_S = 0
with terminal.Bar("Reading") as bar:
    bar(1, 2)
    bar.close()
    print(" Paris.", end="", flush=True)
    bar(2, 2)
print()
"""
    with PseudoTerminal("-c", program) as shown:
        assert shown.end() == 0
    assert seen(shown.shown).strip() == "Paris."


@pytest.mark.parametrize(("columns", "lines"), [(20, 2), (80, 1)])
def test_lines_are_folded_between_words_on_a_terminal_alone(columns, lines, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setenv("COLUMNS", str(columns))
    assert terminal.folded("some words that go on", stream) == "some words that go on"
    monkeypatch.setattr(stream, "isatty", lambda: True)
    folded = terminal.folded("some words that go on\nmore", stream).split("\n")
    assert len(folded) == lines + 1 and folded[-1] == "more"


def test_an_interruption_is_noted_and_the_handler_given_back():
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as seen:
        signal.raise_signal(signal.SIGINT)
        assert seen
    assert signal.getsignal(signal.SIGINT) is before


def test_things_are_counted_in_their_number():
    assert [terminal.counted(count, "thread") for count in (0, 1, 2)] == ["0 threads", "1 thread", "2 threads"]


@pytest.mark.parametrize("line", [False, True])
def test_an_input_without_an_end_is_refused_by_its_length(monkeypatch, line):
    with Path("/dev/zero").open(encoding="utf-8") as endless:
        monkeypatch.setattr(sys, "stdin", endless)
        with pytest.raises(InvalidRequestError, match="more than 4194304 characters"):
            terminal.typed(line=line)


def test_an_input_is_read_whole_or_by_lines(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\ntwo\nthree"))
    assert terminal.typed(line=True) == "one\n"
    assert terminal.typed() == "two\nthree"
    assert terminal.typed(line=True) == ""
