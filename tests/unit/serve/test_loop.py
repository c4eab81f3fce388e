"""The loop and its buffers: what a backend gets to see, log-probabilities, and what a step costs in Python."""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest
from msgspec.structs import replace
from support.fake import FAKE_LIMITS, FakeBackend

from undiced.core.errors import EngineError
from undiced.core.sampling import RECORD
from undiced.engine.backend import AnyStep, SlotState, StepInput, StepOutput
from undiced.serve import GREEDY, Request, Sampling
from undiced.serve.batch import slot_state
from undiced.serve.loop import EngineLoop


class Recorder(FakeBackend):
    """Keeps copies of what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[int, SlotState]] = []
        self.batches: list[StepInput] = []

    def open_slot(self, slot: int, state: SlotState) -> None:
        self.opened.append((slot, state))
        super().open_slot(slot, state)

    def submit(self, batch: AnyStep) -> int:
        batch = batch.arrays()
        self.batches.append(
            StepInput(
                batch.tokens.copy(),
                batch.positions.copy(),
                batch.seq_start.copy(),
                batch.slots.copy(),
                batch.page_table.copy(),
                batch.sample_rows.copy(),
                batch.sampling.copy(),
            )
        )
        return super().submit(batch)


def test_sampling_parameters_reach_their_row() -> None:
    backend = Recorder()
    loop = EngineLoop(backend)
    sampling = Sampling(
        temperature=0.5,
        top_p=0.25,
        top_k=7,
        min_p=0.125,
        repetition_penalty=1.5,
        frequency_penalty=0.75,
        presence_penalty=-0.5,
        seed=(1 << 64) - 1,
        logprobs=2,
        min_tokens=2,
    )
    loop.add(Request("plain", (1, 2), 4, GREEDY))
    loop.add(Request("full", (3, 4), 4, sampling))
    while not loop.idle:
        loop.step()
    row = backend.batches[0].sampling[1]
    expected = {
        "target": -1,
        "mask": -1,
        "slot": backend.batches[0].slots[1],
        "top_k": 7,
        "top_logprobs": 2,
        "min_tokens_mask": 1,
        "temperature": 0.5,
        "top_p": 0.25,
        "min_p": 0.125,
        "repetition_penalty": 1.5,
        "frequency_penalty": 0.75,
        "presence_penalty": -0.5,
        "seed": (1 << 64) - 1,
        "counter": 0,
    }
    assert set(expected) == {field.name for field in RECORD}
    assert {name: row[name] for name in expected} == expected
    assert [batch.sampling[1]["min_tokens_mask"] for batch in backend.batches] == [1, 1, 0, 0]
    assert [batch.sampling[1]["counter"] for batch in backend.batches] == [0, 1, 2, 3]
    assert backend.batches[0].sampling[0]["top_logprobs"] == -1
    assert backend.batches[0].sample_rows.tolist() == [1, 3]


def test_the_slot_learns_only_what_it_needs() -> None:
    request = Request("a", (1, 2), 4, GREEDY, eos_ids=(9, 3), stop_token_ids=(5,))
    assert slot_state(request, 10) == SlotState(prompt_tokens=2)
    penalized = replace(request, sampling=Sampling(repetition_penalty=1.1, logit_bias=((4, 2.0),), min_tokens=1))
    assert slot_state(penalized, 10) == SlotState((1, 2), ((4, 2.0),), (3, 5, 9), prompt_tokens=2)
    assert slot_state(penalized, 9).eos == (3, 5), "the model has no logit for 9"


@pytest.mark.parametrize(("asked", "used"), [(0.0, 0.0), (1e-45, 0.0), (1e-39, 0.0), (1e-6, 1e-6), (2.0, 2.0)])
def test_temperatures_that_single_precision_can_not_invert_are_greedy(asked: float, used: float) -> None:
    backend = Recorder()
    loop = EngineLoop(backend)
    loop.add(Request("a", (1,), 1, Sampling(temperature=asked)))
    loop.step()
    assert backend.batches[0].sampling[0]["temperature"] == np.float32(used)


def test_log_probabilities_come_for_those_who_asked_and_as_many_as_they_asked() -> None:
    loop = EngineLoop(FakeBackend())
    for name, count in (("none", -1), ("own", 0), ("three", 3)):
        loop.add(Request(name, (1, 2), 2, replace(GREEDY, logprobs=count)))
    deltas = {delta.request_id: delta for delta in loop.step()}
    assert (deltas["none"].logprobs, deltas["none"].top) == ([], [])
    assert (deltas["own"].logprobs, deltas["own"].top) == ([-0.5], [[]])
    token = deltas["three"].tokens[0]
    assert deltas["three"].logprobs == [-0.5]
    assert deltas["three"].top == [[(token, -0.5), ((token + 1) % 1000, -1.5), ((token + 2) % 1000, -2.5)]]


def test_run_feeds_more_requests_than_the_queue_holds() -> None:
    loop = EngineLoop(FakeBackend())
    requests = [Request(f"r{index}", (index % 900, 5), 2, GREEDY) for index in range(400)]
    ended = [delta.request_id for deltas in loop.run(requests) for delta in deltas if delta.usage]
    assert sorted(ended) == sorted(request.id for request in requests)


def test_an_unexpected_exception_of_the_backend_is_an_engine_error() -> None:
    class Broken(FakeBackend):
        def collect(self, ticket: int) -> StepOutput:
            raise ZeroDivisionError("oops")

    loop = EngineLoop(Broken())
    loop.add(Request("a", (1,), 1, GREEDY))
    with pytest.raises(EngineError, match="ZeroDivisionError: oops"):
        loop.step()


def test_an_idle_loop_does_nothing() -> None:
    loop = EngineLoop(FakeBackend())
    assert loop.idle
    assert loop.step() == []


class Instant:
    """A backend that takes no time: what is left is the cost of the loop."""

    limits = replace(FAKE_LIMITS, page_tokens=64, draft=0)

    def __init__(self) -> None:
        zeros = np.zeros(0, np.float32)
        self._outputs = [
            StepOutput(np.full(rows, 7, np.int32), zeros, zeros.astype(np.int32), zeros, 1e-3, float("nan"))
            for rows in range(self.limits.max_batch + 1)
        ]

    def open_slot(self, slot: int, state: SlotState) -> None:
        pass

    def submit(self, batch: StepInput) -> int:
        return len(batch.sample_rows)

    def collect(self, ticket: int) -> StepOutput:
        return self._outputs[ticket]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("sequences", "most_us"), [(1, 50), (32, 250)])
def test_a_decode_step_costs_little_python(sequences: int, most_us: float) -> None:
    loop = EngineLoop(Instant())
    for index in range(sequences):
        loop.add(Request(f"chatcmpl-{index:032d}", (1, 2, 3), 1000, GREEDY))
    times = []
    while not loop.idle:
        begin = time.perf_counter()
        loop.step()
        times.append(time.perf_counter() - begin)
    assert statistics.median(times) * 1e6 <= most_us
