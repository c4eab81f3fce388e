"""The account of an answer is the answer's: what events and metrics count is what the client was told, whatever the
engine computed ahead of it and however the answer ended.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import pytest
from eager import EagerEngine
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Caller, Reply, build_caller

from undiced.api.app import build_app
from undiced.api.deployment import Deployment
from undiced.api.service import Service

COMPLETIONS = "/v1/completions"


def around(engine: EagerEngine) -> Caller:
    """A caller of an application around an engine that runs ahead."""
    usual = build_caller()
    deployment = Deployment(usual.deployment.card, engine, usual.deployment.tokenizer, None)  # type: ignore[arg-type]
    service = Service([deployment])
    engine.on_usage = service.metrics.of("m").ended
    return Caller(build_app(service), service, engine)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    """What is asked, how the engine runs, and what happens to the answer.

    Attributes:
        slow: turns of the event loop that each write takes. leave_after: the writes that the client sees.
        stopped_at: turns after which the server has no more patience. The engine may die, too.
    """

    n: int = 1
    prompts: int = 1
    max_tokens: int = 20
    stops: tuple[str, ...] = ()
    text: str = "abcdefghijklmnopqrstuvwxyz"
    stream: bool = True
    include_usage: bool = False
    per_step: int = 1
    between: int = 0
    slow: int = 0
    leave_after: int | None = None
    stopped_at: int | None = None
    dies_at: int | None = None
    room: int = 1000


CASES = st.builds(
    Case,
    n=st.integers(1, 16),
    prompts=st.integers(1, 3),
    max_tokens=st.integers(1, 60),
    stops=st.lists(st.text("abcdef", min_size=1, max_size=3), max_size=2).map(tuple),
    text=st.text("abcdef", min_size=1, max_size=12),
    stream=st.booleans(),
    include_usage=st.booleans(),
    per_step=st.integers(1, 9),
    between=st.integers(0, 3),
    slow=st.integers(0, 40),
    leave_after=st.none() | st.integers(0, 12),
    stopped_at=st.none() | st.integers(0, 60),
    dies_at=st.none() | st.integers(0, 30),
    room=st.sampled_from([1000, 1000, 1000, 5]),
)


async def run(case: Case) -> tuple[EagerEngine, Reply, str]:
    """Ask, and let happen what happens; returns when the engine is idle, with the text of /metrics."""
    engine = EagerEngine("m", case.text, case.per_step, case.between, case.dies_at, case.room)
    caller = around(engine)
    body: dict[str, object] = {
        "model": "m", "prompt": ["x"] * case.prompts, "n": case.n, "max_tokens": case.max_tokens, "logprobs": 0,
        "stop": list(case.stops), "stream": case.stream,
    }  # fmt: skip
    if case.stream and case.include_usage:
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    asked = asyncio.create_task(
        caller.call("POST", COMPLETIONS, body, leave_after=case.leave_after, turns_per_write=case.slow)
    )
    if case.stopped_at is not None:
        for _ in range(case.stopped_at):
            await asyncio.sleep(0)
        caller.service.state = "stopped"
        for task in list(caller.service.running):
            task.cancel()
    reply = await asked
    while engine.running:
        await asyncio.sleep(0)
    assert not caller.service.running
    return engine, reply, (await caller.call("GET", "/metrics")).body.decode()


def check(case: Case, engine: EagerEngine, reply: Reply, metrics: str) -> None:
    at = {request_id: index for index, request_id in enumerate(engine.streams)}
    assert sorted(event.request_id for event in engine.ended) == sorted(at), "one account for each sequence"
    seen = reply.told if reply.status == 200 else {}
    for event in engine.ended:
        tokens, finish = seen.get(at[event.request_id], (0, None))
        if reply.status == 200:
            assert event.completion_tokens == tokens, event
        if finish is not None:
            assert event.finish_reason == finish
    counted = re.search(r'undiced_completion_tokens_total\{model="m"\} ([\d.]+)', metrics)
    assert counted is not None
    assert float(counted[1]) == sum(event.completion_tokens for event in engine.ended)
    if reply.status == 200 and reply.body.endswith(b"[DONE]\n\n" if case.stream else b"}"):
        usages = [e["usage"] for e in (reply.events[:-1] if case.stream else [reply.json]) if e.get("usage")]
        assert usages[-1]["completion_tokens"] == sum(event.completion_tokens for event in engine.ended)
        assert usages[-1]["prompt_tokens"] == case.prompts


@given(CASES)
@settings(max_examples=150, deadline=None)
def test_events_and_metrics_count_what_the_client_was_told(case: Case) -> None:
    check(case, *asyncio.run(run(case)))


@pytest.mark.parametrize("n", [1, 2, 4, 16])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("slow", [0, 50])
def test_a_stop_string_ends_the_account_whatever_was_computed_ahead(n: int, stream: bool, slow: int) -> None:
    case = Case(n=n, max_tokens=200, stops=("xyz",), stream=stream, slow=slow)
    engine, reply, metrics = asyncio.run(run(case))
    check(case, engine, reply, metrics)
    assert [(event.completion_tokens, event.finish_reason) for event in engine.ended] == [(26, "stop")] * n


@pytest.mark.parametrize("leave_after", [1, 7])
def test_who_leaves_pays_for_what_was_written(leave_after: int) -> None:
    case = Case(n=4, max_tokens=900, slow=10, leave_after=leave_after)
    engine, reply, metrics = asyncio.run(run(case))
    check(case, engine, reply, metrics)
    assert {event.finish_reason for event in engine.ended} == {"cancelled"}
    assert sum(event.completion_tokens for event in engine.ended) < sum(engine.made.values())
