"""A sequence whose numbers are infinite or none ends with an error of its own; all others get the same tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import tiny_models

from undiced.checkpoint import open_checkpoint
from undiced.compiler import compile
from undiced.engine.backend import NoToken
from undiced.engine.host import HostBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds
from undiced.serve import Delta, Request, Sampling, Scheduler
from undiced.serve.loop import EngineLoop

POISON = 39
WANTED = 12


@pytest.fixture(params=["llama", "qwen3"])
def loop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EngineLoop]:
    case = tiny_models.load_case(request.param)
    checkpoint = open_checkpoint(tiny_models.make_folder(case, tmp_path / "model", poison=POISON))
    program = compile(build(checkpoint), host(2), Bounds(8, 64))
    made = EngineLoop(HostBackend(program, checkpoint, pages=24))
    yield made
    made.close()
    checkpoint.close()


def ask(name: str, *ids: int) -> Request:
    """Tokens below the poisonous one, or that."""
    prompt, seed = tuple(i if i == POISON else i % POISON for i in ids), sum(ids)
    sampling = Sampling(temperature=0.8 * (seed % 2), seed=seed, logprobs=3, logit_bias=((POISON, -100.0),))
    return Request(name, prompt, WANTED, sampling)


def answers(loop: EngineLoop, requests: list[Request]) -> dict[str, list[Delta]]:
    found: dict[str, list[Delta]] = {request.id: [] for request in requests}
    for deltas in loop.run(requests):
        for delta in deltas:
            found[delta.request_id].append(delta)
    return found


def said(deltas: list[Delta]) -> list[tuple[int, float]]:
    """Tokens and their log-probabilities; dense products add up in an order that depends on the batch."""
    return [
        (token, pytest.approx(delta.logprobs[i], abs=5e-3)) for delta in deltas for i, token in enumerate(delta.tokens)
    ]


@pytest.mark.parametrize("poisoned", [(POISON,), (POISON, 3, 4), (5, 6, POISON), (*range(30), POISON, *range(9))])
def test_seven_of_eight_do_not_notice_the_poisoned_one(loop: EngineLoop, poisoned: tuple[int, ...]) -> None:
    healthy = [ask(f"h{i}", *range(i, i + 9 + 3 * i)) for i in range(7)]
    alone = {request.id: said(answers(loop, [request])[request.id]) for request in healthy}
    loop.scheduler.pool.clear()
    together = answers(loop, [*healthy[:3], ask("bad", *poisoned), *healthy[3:]])
    (last,) = together.pop("bad")
    assert (last.finish_reason, last.error, last.tokens) == ("error", NoToken.NON_FINITE, [])
    assert last.usage is not None and last.usage.completion_tokens == 0
    assert {name: said(deltas) for name, deltas in together.items()} == alone


def test_what_a_poisoned_sequence_leaves_in_its_pages_harms_nobody(loop: EngineLoop) -> None:
    healthy = [ask(f"h{i}", *range(i, 40 + i)) for i in range(3)]
    alone = {request.id: said(answers(loop, [request])[request.id]) for request in healthy}
    loop.scheduler.pool.clear()
    for round_ in range(3):  # every page of the pool has been poisoned, and none is offered
        bad = [ask(f"bad{round_}.{i}", i, POISON, *range(38 - i)) for i in range(8)]
        assert all(deltas[-1].error == NoToken.NON_FINITE for deltas in answers(loop, bad).values())
        assert (loop.scheduler.pool.cached, loop.scheduler.pool.held) == (0, 0)
    assert {name: said(deltas) for name, deltas in answers(loop, healthy).items()} == alone


def test_a_shared_beginning_stays_shared_after_a_poisoned_sequence(loop: EngineLoop) -> None:
    answers(loop, [ask("first", *range(34))])
    cached = loop.scheduler.pool.cached
    answers(loop, [ask("bad", *range(32), POISON)])
    assert loop.scheduler.pool.cached == cached
    (*_, last) = answers(loop, [ask("again", *range(34))])["again"]
    assert last.usage is not None and last.usage.cached_tokens == 32


def test_a_sequence_that_may_choose_nothing_ends_alone(loop: EngineLoop) -> None:
    vocab = loop.limits.vocab
    nothing = Request("n", (1, 2), 5, Sampling(min_tokens=2), stop_token_ids=tuple(range(vocab)))
    found = answers(loop, [nothing, ask("h", 1, 2, 3)])
    assert (found["n"][-1].finish_reason, found["n"][-1].error) == ("error", NoToken.NOTHING_ALLOWED)
    assert sum(len(delta.tokens) for delta in found["h"]) == WANTED


def test_a_failed_sequence_counts_no_tokens(loop: EngineLoop) -> None:
    assert isinstance(loop.scheduler, Scheduler)
    answers(loop, [ask("bad", POISON)])
    assert (loop.stats().completion_tokens, loop.stats().ended) == (0, 1)
