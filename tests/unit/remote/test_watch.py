"""Telling work from a hang: the pulse of an engine process, and what its parent makes of it."""

from __future__ import annotations

import socket
import weakref

from hypothesis import given
from hypothesis import strategies as st

from undiced.remote.pulse import BEAT, BEAT_EVERY_S, Pulse
from undiced.remote.watch import Patience, Watch

PATIENCE = Patience(silence_s=30, step_s=120, load_s=600, silence_notice_s=3, step_notice_s=5)


def serving() -> Watch:
    watch = Watch(PATIENCE)
    watch.heard(0.0)
    watch.loading = False
    return watch


def test_silence_is_noticed_then_hopeless_and_forgiven_in_between() -> None:
    watch = serving()
    watch.passed(2.9)
    assert (watch.trouble, watch.hopeless) == ("", False)
    watch.passed(0.1)
    assert watch.trouble == "has not answered for 3 s"
    watch.heard(0.0)
    assert watch.trouble == ""
    watch.passed(30)
    assert watch.hopeless


def test_a_step_without_progress_is_noticed_and_hopeless_much_later() -> None:
    watch = serving()
    watch.heard(5.0)
    assert watch.trouble == "has made no progress in a step for 5 s"
    watch.heard(119.0)
    assert not watch.hopeless
    watch.heard(120.0)
    assert watch.hopeless


def test_loading_has_more_time_and_its_first_beat_as_well() -> None:
    watch = Watch(PATIENCE)
    watch.passed(599)  # the interpreter starts, modules come from a slow disk
    assert (watch.trouble, watch.hopeless) == ("", False)
    watch.heard(599.0)
    assert (watch.trouble, watch.hopeless) == ("", False)
    watch.heard(600.0)
    assert watch.hopeless
    assert "loading the model for 600 s" in watch.trouble


@given(st.lists(st.floats(0, 1.5), max_size=200))
def test_an_engine_that_beats_is_never_condemned(gaps: list[float]) -> None:
    watch = serving()
    for gap in gaps:
        watch.passed(gap)
        assert not watch.hopeless and not watch.trouble
        watch.heard(0.0)


def test_the_pulse_counts_while_nothing_moves_and_only_then() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        pulse, done = Pulse(ours), [0]
        pulse.progress = lambda: done[0]
        pulse.turns += 1
        assert pulse.observe(1.0) == 0.0
        assert [pulse.observe(1.0), pulse.observe(1.0)] == [1.0, 2.0]
        done[0] += 1  # an instruction of the step was done
        assert [pulse.observe(1.0), pulse.observe(1.0)] == [0.0, 1.0]
        pulse.resting = True  # idle is no hang
        assert [pulse.observe(1.0), pulse.observe(1.0)] == [0.0, 0.0]


def test_a_parent_that_does_not_read_stops_no_pulse() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        pulse = Pulse(ours)
        for _ in range(10_000):
            pulse._send(0.5)
        assert BEAT.unpack(theirs.recv(100)) == (0.5,)
    assert PATIENCE.silence_notice_s > 2 * BEAT_EVERY_S, "one lost beat is no news"


def test_a_pulse_holds_on_to_no_backend_that_is_closed() -> None:
    class Backend:
        def progress(self) -> int:
            return 1

    ours, theirs = socket.socketpair()
    with ours, theirs:
        pulse, backend = Pulse(ours), Backend()
        pulse.progress, seen = backend.progress, weakref.ref(backend)
        pulse.let_go()
        del backend
        assert seen() is None
        assert pulse.observe(0.5) == 0.5
