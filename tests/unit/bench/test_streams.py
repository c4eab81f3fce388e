"""What the client of the HTTP benchmarks reads, however its bytes are cut; and that a load is what its seed says."""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

FOLDER = Path(__file__).parents[3] / "benchmarks"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
EVENTS = [
    {"choices": [{"index": 0, "text": "A"}]},
    {"choices": [{"index": 0, "text": ""}]},
    {"choices": [{"index": 0, "delta": {"content": "B\n\nC"}}]},
    {
        "choices": [],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}},
    },
]
LINES = [b"data: %b\n\n" % json.dumps(event).encode() for event in EVENTS] + [b": ping\n\n", b"data: [DONE]\n\n"]
PLAIN = HEAD + b"\r\n" + b"".join(LINES)
CHUNKED = (
    HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in LINES)
    + b"0\r\n\r\n"
)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType]]:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("streams"), importlib.import_module("mixed_load")
    for name in ("streams", "mixed_load"):
        sys.modules.pop(name, None)


def read(streams: ModuleType, pieces: list[bytes]) -> tuple[object, list[int]]:
    """The answer, and for each text the piece in which it was complete."""

    async def run() -> object:
        reader = streams.Reader(b"")
        reader._came = [(float(at), piece) for at, piece in enumerate(pieces)]
        reader.connection_lost(None)
        return reader.read(await reader.over)

    answer = asyncio.run(run())
    return answer, [int(at) for at in answer.said_s]  # type: ignore[attr-defined]


@pytest.mark.parametrize("data", [PLAIN, CHUNKED], ids=["plain", "chunked"])
@pytest.mark.parametrize("seed", range(20))
def test_texts_are_found_where_they_came(modules: tuple[ModuleType, ModuleType], data: bytes, seed: int) -> None:
    chance = random.Random(seed)
    cuts = sorted({0, len(data), *chance.sample(range(1, len(data)), chance.choice((0, 1, 5, 60)))})
    pieces = [data[begin:end] for begin, end in pairwise(cuts)]
    answer, came = read(modules[0], pieces)
    assert (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens) == (5, 3, 2)  # type: ignore[attr-defined]
    assert not answer.failure  # type: ignore[attr-defined]
    ends = [data.index(line) + len(line) for line in (LINES[0], LINES[2])]  # the last byte of each event with text
    wanted = [next(at for at in range(len(pieces)) if len(b"".join(pieces[: at + 1])) >= end) for end in ends]
    assert came == wanted


def test_a_refusal_is_a_failure(modules: tuple[ModuleType, ModuleType]) -> None:
    data = b'HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n\r\n{"error": "full"}'
    answer, came = read(modules[0], [data])
    assert "429" in answer.failure and "full" in answer.failure  # type: ignore[attr-defined]
    assert came == []


def test_an_error_in_the_midst_of_a_stream_is_a_failure(modules: tuple[ModuleType, ModuleType]) -> None:
    answer, _ = read(modules[0], [HEAD + b"\r\n" + LINES[0] + b'data: {"error": {"message": "gone"}}\n\n'])
    assert "gone" in answer.failure  # type: ignore[attr-defined]


def test_a_load_is_its_seed(modules: tuple[ModuleType, ModuleType]) -> None:
    _, mixed = modules
    loads = [mixed.load(seed, (200, 2000), (32, 224), 2.0, 200.0, 1 << 30) for seed in (1, 1, 2)]
    assert loads[0] == loads[1] != loads[2]
    asked = loads[0]
    assert 330 < len(asked) < 470  # of 400 expected
    assert all(before.at_s < after.at_s for before, after in pairwise(asked))
    words = [len(one.prompt.split()) for one in asked]
    assert 200 <= min(words) < 300 < 1900 < max(words) <= 2000
    openings = [" ".join(one.prompt.split()[:100]) for one in asked]
    assert len({openings[at] for at in range(1, len(asked), 2)}) == mixed.SHARED
    assert len({openings[at] for at in range(0, len(asked), 2)}) == len(range(0, len(asked), 2))


def test_without_a_rate_all_are_due_at_once(modules: tuple[ModuleType, ModuleType]) -> None:
    asked = modules[1].load(0, (10, 20), (1, 2), 0.0, 1.0, 7)
    assert [one.at_s for one in asked] == [0.0] * 7
