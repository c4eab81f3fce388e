"""Log-probabilities of a prompt's own tokens: what the graph's interpreter says, however the prompt is cut and whatever
runs beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support import tiny_models

from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.compiler import compile
from undiced.engine import meaning
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.machine.host import host
from undiced.model import KvState, build, load_weights, run_graph
from undiced.program import Bounds
from undiced.serve import GREEDY, Request, Sampling, Scheduler
from undiced.serve.loop import EngineLoop

CLOSE = 1e-3
F16_CLOSE = 0.05  # keys and values are rounded to f16
PROMPT = tuple((7 * i * i + 3 * i) % 40 for i in range(60))
Scores = tuple[list[float], list[list[tuple[int, float]]]]


@pytest.fixture(params=["llama", "gemma3", "gpt2"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Checkpoint]:
    opened = open_checkpoint(tiny_models.make_folder(tiny_models.load_case(request.param), tmp_path / "model"))
    yield opened
    opened.close()


@pytest.fixture
def make(checkpoint: Checkpoint) -> Iterator[Callable[..., EngineLoop]]:
    program = compile(build(checkpoint), host(2), Bounds(4, 64))
    made = []

    def loop(**options: int) -> EngineLoop:
        made.append(EngineLoop(HostBackend(program, checkpoint, pages=16, **options)))
        return made[-1]

    yield loop
    for one in made:
        one.close()


def ask(name: str, prompt: tuple[int, ...] = PROMPT, wanted: int = 0, top: int = 3) -> Request:
    return Request(name, prompt, wanted, GREEDY, prompt_logprobs=top)


def run(loop: EngineLoop, requests: list[Request]) -> tuple[dict[str, list[int]], dict[str, Scores]]:
    tokens: dict[str, list[int]] = {request.id: [] for request in requests}
    scores: dict[str, Scores] = {request.id: ([], []) for request in requests}
    for deltas in loop.run(requests):
        for delta in deltas:
            tokens[delta.request_id] += delta.tokens
            scores[delta.request_id][0].extend(delta.prompt_logprobs)
            scores[delta.request_id][1].extend(delta.prompt_top)
            assert delta.finish_reason in (None, "length")
    return tokens, scores


def assert_same(found: Scores, wanted: Scores, close: float = CLOSE) -> None:
    np.testing.assert_allclose(found[0], wanted[0], atol=close)
    for ours, theirs in zip(found[1], wanted[1], strict=True):
        np.testing.assert_allclose([value for _, value in ours], [value for _, value in theirs], atol=close)


def reference(checkpoint: Checkpoint, prompt: tuple[int, ...], top: int) -> Scores:
    graph = build(checkpoint)
    logits = run_graph(graph, load_weights(graph, checkpoint), list(prompt), KvState())
    logs = meaning.log_softmax(logits[:-1])
    best = np.argsort(-logs, axis=1, kind="stable")[:, :top]
    rivals = [[(int(i), float(row[i])) for i in ids] for row, ids in zip(logs, best, strict=True)]
    return [float(row[token]) for row, token in zip(logs, prompt[1:], strict=True)], rivals


def test_the_engine_says_what_the_graph_says(make: Callable[..., EngineLoop], checkpoint: Checkpoint) -> None:
    loop = make()
    _, scores = run(loop, [ask("a")])
    assert_same(scores["a"], reference(checkpoint, PROMPT, 3), F16_CLOSE)
    assert loop.stats().completion_tokens == 0
    assert loop.stats().prompt_tokens == len(PROMPT)


def test_the_program_interpreter_says_the_same(make: Callable[..., EngineLoop], checkpoint: Checkpoint) -> None:
    program = compile(build(checkpoint), host(2), Bounds(4, 64))
    _, scores = run(EngineLoop(InterpreterBackend(program, checkpoint, pages=8)), [ask("a")])
    assert_same(scores["a"], reference(checkpoint, PROMPT, 3))
    _, rounded = run(EngineLoop(InterpreterBackend(program, checkpoint, pages=8, kv_rounded=True)), [ask("a")])
    _, host_scores = run(make(), [ask("a")])
    assert_same(host_scores["a"], rounded["a"], 10 * CLOSE)


@pytest.mark.parametrize("max_tokens", [4, 7, 32])
def test_a_prompt_in_pieces_scores_like_a_whole_one(make: Callable[..., EngineLoop], max_tokens: int) -> None:
    _, whole = run(make(), [ask("a")])
    _, pieces = run(make(max_tokens=max_tokens), [ask("a")])
    assert_same(pieces["a"], whole["a"])


def test_scores_and_answers_beside_others_are_those_alone(make: Callable[..., EngineLoop]) -> None:
    drawn = Request("drawn", PROMPT[5:25], 20, Sampling(temperature=0.9, seed=4, presence_penalty=0.5))
    requests = [ask("a"), ask("b", PROMPT[:17], 9), drawn, ask("c", PROMPT[20:50], 6, 0), Request("d", (1,), 9, GREEDY)]
    loop = make()
    alone = [run(loop, [request]) for request in requests]
    tokens, scores = run(make(), requests)
    for request, (its_tokens, its_scores) in zip(requests, alone, strict=True):
        assert tokens[request.id] == its_tokens[request.id]
        assert_same(scores[request.id], its_scores[request.id])
    assert len(tokens["b"]) == 9 and len(scores["b"][0]) == 16 and scores["d"] == ([], [])


def test_a_scored_prompt_is_computed_though_it_is_cached_and_then_shared(make: Callable[..., EngineLoop]) -> None:
    loop = make()
    plain, _ = run(loop, [Request("p", PROMPT, 3, GREEDY)])
    tokens, scores = run(loop, [ask("a", wanted=3)])
    assert tokens["a"] == plain["p"] and len(scores["a"][0]) == len(PROMPT) - 1
    again, _ = run(loop, [Request("q", PROMPT, 3, GREEDY)])
    assert again["q"] == plain["p"] and loop.stats().cached_tokens == 32


def test_one_token_has_no_score_and_nothing_may_be_asked_for_at_all(make: Callable[..., EngineLoop]) -> None:
    tokens, scores = run(make(), [ask("one", (5,)), ask("two", (5, 6)), Request("none", PROMPT, 0, GREEDY)])
    assert tokens == {"one": [], "two": [], "none": []}
    assert [len(scores[name][0]) for name in ("one", "two", "none")] == [0, 1, 0]


def test_others_keep_their_pace_beside_a_scored_prompt(make: Callable[..., EngineLoop]) -> None:
    """A scored prompt takes its own rows: whoever decodes gets a token in every step, other prompts start at once."""
    loop = make()
    assert isinstance(loop.scheduler, Scheduler)
    for name in ("x", "y"):
        loop.add(Request(name, PROMPT[:8], 20, GREEDY))
    loop.step()
    loop.add(ask("scored"))
    loop.step()
    loop.add(Request("late", PROMPT[:5], 4, GREEDY))
    for _ in range(4):
        heard = {delta.request_id for delta in loop.step() if delta.tokens}
        assert heard >= {"x", "y", "late"}
