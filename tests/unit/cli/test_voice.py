"""Saying something never waits and never fails, whatever becomes of the output."""

from __future__ import annotations

import logging
import os
import threading
import time

import pytest

from undiced.cli.voice import Voice, VoiceHandler


def test_lines_come_out_in_order_and_before_it_closes() -> None:
    reading, writing = os.pipe()
    voice = Voice()
    for number in range(100):
        voice.say(f"line {number} ö\udc80", where=writing)
    voice.close()
    os.close(writing)
    with open(reading, encoding="utf-8") as said:
        assert said.read().splitlines() == [f"line {number} ö\\udc80" for number in range(100)]


def test_an_output_that_does_not_block_gets_every_line() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    voice = Voice()
    for number in range(900):
        voice.say(f"{number:0200}", where=writing)  # more than a pipe holds
    with open(reading, encoding="ascii") as said:
        lines = [said.readline() for _ in range(900)]
        voice.close()
        os.close(writing)
    assert [int(line) for line in lines] == list(range(900))


def test_an_output_that_has_gone_loses_lines_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    voice = Voice()
    for _ in range(10):
        voice.say("into the void", where=writing)
    os.close(writing)
    voice.say("nor does a closed descriptor matter", where=writing)
    voice.close()
    assert not voice._thread.is_alive()


def test_an_output_that_takes_nothing_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    voice = Voice()
    began_s = time.monotonic()
    for _ in range(5000):
        voice.say("x" * 100, where=writing)
    voice.close()
    assert time.monotonic() - began_s < 10
    threading.Thread(target=_drain, args=(reading,), daemon=True).start()
    voice.close()
    voice._thread.join(10)
    assert not voice._thread.is_alive()
    os.close(writing)


def _drain(reading: int) -> None:
    while os.read(reading, 1 << 20):
        pass
    os.close(reading)


def test_a_log_record_that_cannot_be_formatted_is_told_as_such(capfd: pytest.CaptureFixture[str]) -> None:
    voice = Voice()
    handler = VoiceHandler(voice)
    for arguments in ((7,), ("seven",)):
        handler.handle(logging.LogRecord("a", logging.ERROR, "", 0, "%d deaths", arguments, None))
    voice.close()
    assert capfd.readouterr().err.splitlines() == [
        "7 deaths",
        "ERROR a: a log record could not be formatted: '%d deaths'",
    ]
