"""The engine's end of the socket: it never blocks a step, loses nothing, and notices when the other end goes."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from undiced.remote.frames import Cancel, Progress, Stop, client_reader, encode
from undiced.remote.link import Link, LinkClosedError

if TYPE_CHECKING:
    from collections.abc import Iterator

Ends = tuple[Link, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, other = socket.socketpair()
    link = Link(ours)
    with other:
        yield link, other
    link.close()


def test_nothing_to_read_costs_no_time(ends: Ends) -> None:
    link, other = ends
    assert link.receive(0.0) == []
    frame = encode(Cancel("a"))
    other.sendall(frame[:3])
    assert link.receive(0.0) == []
    other.sendall(frame[3:] + encode(Stop()))
    assert link.receive(0.0) == [Cancel("a"), Stop()]


def test_waiting_ends_with_the_first_message(ends: Ends) -> None:
    link, other = ends
    timer = threading.Timer(0.05, other.sendall, [encode(Stop())])
    timer.start()
    assert link.receive(None) == [Stop()]
    timer.join()


@pytest.mark.timeout(20)
def test_what_the_other_side_does_not_read_is_kept_and_sent_later(ends: Ends) -> None:
    link, other = ends
    sent = [Progress(float(index), "x" * 10_000) for index in range(600)]
    for message in sent:
        link.send(message)  # 6 MB: more than the socket takes; must not block
    other.settimeout(0.01)
    reader, got = client_reader(), []
    while len(got) < len(sent):
        link.receive(0.0)
        try:
            got += list(reader.feed(other.recv(1 << 20)))
        except TimeoutError:
            continue
    assert got == sent


def test_last_words_are_sent_before_the_end(ends: Ends) -> None:
    link, other = ends
    sent = [Progress(float(index), "x" * 10_000) for index in range(600)]
    for message in sent:
        link.send(message)
    reader, got = client_reader(), []

    def read() -> None:
        while len(got) < len(sent):
            got.extend(reader.feed(other.recv(1 << 20)))

    thread = threading.Thread(target=read)
    thread.start()
    link.drain(timeout_s=10)
    thread.join()
    assert got == sent


def test_a_closed_other_end_is_noticed_reading_and_writing(ends: Ends) -> None:
    link, other = ends
    other.close()
    with pytest.raises(LinkClosedError):
        link.receive(None)
    with pytest.raises(LinkClosedError):
        link.send(Progress(0.0, "x"))
