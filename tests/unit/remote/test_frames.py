"""Frames: every message comes out as it went in, however the bytes are cut; anything else is an error."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake import FAKE_LIMITS

from undiced.core.errors import ContextLengthError, EngineError, QueueFullError, UndicedError
from undiced.remote.frames import (
    MAX_FRAME_BYTES,
    Accepted,
    Cancel,
    Failed,
    Failure,
    Finish,
    FromEngine,
    Progress,
    Ready,
    Refused,
    Step,
    Stop,
    Submit,
    ToEngine,
    client_reader,
    encode,
    engine_reader,
)
from undiced.serve import Delta, EngineStats, Request, Sampling, UsageEvent

REQUEST = Request("a", (1, 2), 3, Sampling(seed=1, logit_bias=((1, 2.0),)), eos_ids=(7,))
USAGE = UsageEvent("a", "stop", 3, 1, 2, 0.1, 0.2, 0.3, math.inf, "host")
TO_ENGINE: list[ToEngine] = [Submit(REQUEST, 1.5), Cancel("a"), Finish("a", 3, "stop"), Stop()]
FROM_ENGINE: list[FromEngine] = [
    Progress(0.5, "packing"),
    Ready(FAKE_LIMITS),
    Accepted("a"),
    Refused("a", Failure.of(EngineError("no"))),
    Step([Delta("a", [1, 2], [-0.5, -1.0], [[(1, -0.5)], []]), Delta("b", [3], usage=USAGE)], EngineStats(running=2)),
    Failed(Failure.of(EngineError("gone", remedy="Try again."))),
]


@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_messages_survive_any_cutting(cuts: list[int]) -> None:
    for reader, messages in ((engine_reader(), TO_ENGINE), (client_reader(), FROM_ENGINE)):
        data = b"".join(encode(message) for message in messages)
        got, start, turn = [], 0, 0
        while start < len(data):
            end = start + cuts[turn % len(cuts)]
            got += list(reader.feed(data[start:end]))
            start, turn = end, turn + 1
        assert got == messages


def test_garbage_is_an_error() -> None:
    with pytest.raises(EngineError, match="does not decode"):
        list(engine_reader().feed(b"\x03\x00\x00\x00abc"))
    with pytest.raises(EngineError, match=str(MAX_FRAME_BYTES)):
        list(engine_reader().feed(b"\xff\xff\xff\xff"))


@pytest.mark.parametrize(
    "error",
    [
        QueueFullError("full", retry_after_s=2.5, remedy="Wait."),
        ContextLengthError("long", param="max_tokens"),
        EngineError("broke", remedy="Again."),
    ],
)
def test_errors_arrive_as_what_they_were(error: UndicedError) -> None:
    again = Failure.of(error).error()
    assert type(again) is type(error)
    assert (again.message, again.remedy, again.param) == (error.message, error.remedy, error.param)
    if isinstance(again, QueueFullError):
        assert again.retry_after_s == 2.5


@pytest.mark.parametrize("name", ["Nonsense", "annotations", "UndicedErrorX"])
def test_an_unknown_error_is_an_engine_error(name: str) -> None:
    assert type(Failure(name, "x", "", None, 0.0).error()) is EngineError
