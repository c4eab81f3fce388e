"""Sequences whose readers are behind rest, unless others wait for their place."""

from __future__ import annotations

from msgspec.structs import replace
from support.fake import FAKE_LIMITS, FakeBackend

from undiced.serve import GREEDY, Delta, Request
from undiced.serve.loop import EngineLoop


def ask(name: str, most: int = 20) -> Request:
    return Request(name, (1, 2, 3), most, GREEDY)


def run(loop: EngineLoop, steps: int = 1000) -> dict[str, list[int]]:
    """Step until nothing is left to do; the tokens of each."""
    found: dict[str, list[int]] = {}
    for _ in range(steps):
        if loop.idle:
            break
        for delta in loop.step():
            found.setdefault(delta.request_id, []).extend(delta.tokens)
    return found


def test_a_held_sequence_rests_while_others_go_on_and_then_gets_the_same_tokens() -> None:
    alone = EngineLoop(FakeBackend())
    alone.add(ask("a"))
    expected = run(alone)["a"]
    loop = EngineLoop(FakeBackend())
    loop.add(ask("a"))
    loop.add(ask("b"))
    first = run(loop, 3)
    loop.hold("a", held=True)
    second = run(loop)
    assert "a" not in second and len(first["b"] + second["b"]) == 20
    assert loop.idle and loop.step() == [], "all that is alive waits for its reader"
    loop.check()
    loop.hold("a", held=False)
    assert not loop.idle
    assert first["a"] + run(loop)["a"] == expected


def test_a_held_sequence_goes_on_where_somebody_waits_for_its_place() -> None:
    loop = EngineLoop(FakeBackend(replace(FAKE_LIMITS, max_batch=1)))
    loop.add(ask("a"))
    run(loop, 2)
    loop.hold("a", held=True)
    assert loop.idle
    loop.add(ask("b"))
    found = run(loop)
    assert (len(found["a"]), len(found["b"])) == (18, 20)


def test_a_held_sequence_goes_on_where_a_younger_one_finds_no_page() -> None:
    limits = replace(FAKE_LIMITS, pages=6, page_tokens=4, context=24)
    alone = EngineLoop(FakeBackend(limits))
    alone.add(ask("b"))
    loop = EngineLoop(FakeBackend(limits))
    loop.add(ask("a", most=8))
    loop.add(ask("b"))
    first = run(loop, 4)
    loop.hold("a", held=True)
    second = run(loop)
    assert len(first["a"] + second["a"]) == 8
    assert first["b"] + second["b"] == run(alone)["b"]
    assert second["a"], "nobody else could go on"


def test_a_held_sequence_can_be_ended() -> None:
    loop = EngineLoop(FakeBackend())
    for name in ("a", "b"):
        loop.add(ask(name))
        run(loop, 1)
        loop.hold(name, held=True)
    loop.cancel("a")
    loop.finish("b", 1)
    ends: list[Delta] = loop.step()
    assert [(delta.request_id, delta.finish_reason) for delta in ends] == [("a", "cancelled"), ("b", "stop")]
    assert loop.idle and loop.scheduler.idle
    loop.hold("gone", held=True)
    assert loop.stats().pages_used == 0
