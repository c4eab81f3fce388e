"""WaferBackend: a wafer program behind the engine's protocol: scheduler and accounts serve it as they do the host.

Tokens are computed core by core; seconds are the clock's and joules those of `sim/power`, the median of what is
assumed. Each step drains the pipeline before the next. Draws nothing: the likeliest token is taken.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from undiced.core.errors import EngineError
from undiced.core.sampling import TOP_LOGPROBS_MAX
from undiced.engine.backend import (
    BUG,
    PAGE_TOKENS,
    AnyStep,
    Limits,
    NoToken,
    SlotState,
    StepInput,
    StepOutput,
    Submitted,
)
from undiced.engine.meaning import log_softmax
from undiced.engine.record import greedy
from undiced.machine.energy import energy_draws
from undiced.program.wafer.step import Step
from undiced.sim.clock import Timing, time_step
from undiced.sim.outlook import prompt_cycles
from undiced.sim.power.power import counts_of

if TYPE_CHECKING:
    from undiced.machine.wafer import Wafer
    from undiced.sim.mesh.executor import MeshExecutor
    from undiced.sim.mesh.rounding import F32

End = tuple[int, "F32"]  # the likeliest token, and the logits
Spans = list[tuple[int, int]]  # of each sequence of a step, its first new position and how many follow
_FREE = frozenset(("slot", "top_logprobs", "seed", "counter", "top_k", "top_p", "min_p"))  # without a draw


class WaferBackend:
    """Runs a wafer program on an emulated mesh.

    Sequences need pages of their own: positions that another one has computed are not found in its cores.

    Args:
        executor: of the program, with weights. wafer: the machine that it was compiled for.
    """

    def __init__(self, executor: MeshExecutor, wafer: Wafer) -> None:
        self.executor, self._wafer, self._program = executor, wafer, executor.program
        bounds = self._program.bounds
        self.limits = Limits(
            max_batch=bounds.batch,
            max_tokens=max(bounds.batch, min(executor.most_tokens, bounds.batch * executor.most_tokens_each)),
            context=bounds.context,
            pages=bounds.batch * (1 + ceil(bounds.context / PAGE_TOKENS)),  # one each to grow into
            page_tokens=PAGE_TOKENS,
            vocab=self._program.vocab,
            source=self._program.machine,
        )
        self._submitted = Submitted(self.limits.in_flight)
        self._energies = energy_draws(wafer)
        self._timings: dict[Step, Timing] = {}
        self._works: dict[int, float] = {}
        self._steps = 0

    def open_slot(self, slot: int, state: SlotState) -> None:
        """A new sequence; see Backend."""
        if state.bias or state.allowed:
            raise EngineError("An emulated mesh has no bias of logits.", remedy="Leave it out.")
        self.executor.forget(slot)

    def count_tokens(self, slot: int, tokens: list[int]) -> None:
        """Accepted for the protocol's sake; nothing is penalized here."""

    def submit(self, batch: AnyStep) -> int:
        """Take in one step; see Backend.

        Raises:
            EngineError: tokens are to be drawn, or to be of some form.
        """
        batch = batch.arrays()
        plain = greedy(batch.sampling["slot"])
        names = [name for name in plain.dtype.names or () if name not in _FREE]
        if batch.hidden or any((batch.sampling[name] != plain[name]).any() for name in names):
            raise EngineError(
                "An emulated mesh takes the likeliest token of all, and tells nothing else.",
                remedy="Use a temperature of 0, without penalties and forms.",
            )
        return self._submitted.push(batch)

    def collect(self, ticket: int) -> StepOutput:
        """Run the step; see Backend.

        Raises:
            CoreFailureError: a core fails.
        """
        batch = self._submitted.oldest(ticket).arrays()
        left, spans = dict[int, list[int]](), Spans()
        for sequence, slot in enumerate(batch.slots.tolist()):
            tokens = slice(int(batch.seq_start[sequence]), int(batch.seq_start[sequence + 1]))
            first = int(batch.positions[tokens.start])
            if first == 0:
                self.executor.forget(slot)
            elif first != self.executor.length(slot):
                raise EngineError(f"Position {first} follows on none of its sequence.", remedy=BUG)
            left[slot] = batch.tokens[tokens].tolist()
            spans.append((first, tokens.stop - tokens.start))
        seconds, joules = self.taken(spans)
        ends = self._run(left)
        self._submitted.done()
        self._steps += 1
        asked = np.searchsorted(batch.seq_start, batch.sample_rows, side="right") - 1
        last = [ends[slot] for slot in batch.slots[asked].tolist()]
        return _output(last, batch, self.limits.vocab, seconds, joules)

    def _run(self, left: dict[int, list[int]]) -> dict[int, End]:
        """What stands after the last token of each slot, as many at once as cores hold."""
        ends, most = dict[int, End](), self.executor.most_tokens_each
        while left:
            work = [(slot, tokens[:most]) for slot, tokens in left.items()]
            result, row = self.executor.step(work), -1
            for slot, piece in work:
                row += 1 if self.executor.ends_once else len(piece)
                ends[slot] = result.tokens[row], result.logits[row]
            left = {slot: tokens[most:] for slot, tokens in left.items() if len(tokens) > most}
        return ends

    def taken(self, spans: Spans) -> tuple[float, float]:
        """Seconds and joules of a step, at the wall, at the machine's clock."""
        seconds = self._cycles(spans) / self._wafer.system.clock_hz.value
        energies = self._energies
        idle = float(np.median(energies.idle_w / energies.delivered)) * self._program.wafers
        work = sum(count * self._token_j(first + ceil(count / 2)) for first, count in spans)
        return seconds, idle * seconds + work

    def _cycles(self, spans: Spans) -> float:
        """Sequences with one token each go together, or in turn; positions of prompts follow each other."""
        decodes = [first + 1 for first, count in spans if count == 1]
        cycles = self._timed(Step(len(decodes), 1, max(decodes))).token_cycles if decodes else 0.0
        return cycles + sum(self._read(first + n) - self._read(first) for first, n in spans if n > 1)

    def _read(self, positions: int) -> float:
        """Cycles of reading so many positions of a prompt."""
        clock_hz = self._wafer.system.clock_hz.value
        return prompt_cycles(self._program, self._wafer, positions, clock_hz) if positions else 0.0

    def _timed(self, step: Step) -> Timing:
        if step not in self._timings:
            self._timings[step] = time_step(self._program, self._wafer, step)
        return self._timings[step]

    def _token_j(self, context: int) -> float:
        if context not in self._works:
            joules = self._energies.joules @ counts_of(self._program, self._wafer, context)
            self._works[context] = float(np.median(joules / self._energies.delivered))
        return self._works[context]

    def progress(self) -> int:
        """Steps done since the beginning."""
        return self._steps

    def close(self) -> None:
        """Nothing to free."""


def _output(ends: list[End], batch: StepInput, vocab: int, seconds: float, joules: float) -> StepOutput:
    """The likeliest tokens of the rows that are asked for, with their log-probabilities."""
    rows = len(ends)
    logits = np.array([each for _, each in ends], dtype=np.float32).reshape(rows, vocab)
    finite = np.asarray(np.isfinite(logits).all(axis=1))
    tokens = np.where(finite, [token for token, _ in ends], NoToken.NON_FINITE).astype(np.int32)
    logs = log_softmax(np.where(finite[:, None], logits, 0.0)) if rows else logits
    order = np.argsort(-logs, axis=1, kind="stable")[:, :TOP_LOGPROBS_MAX]
    unwanted = np.arange(order.shape[1]) >= batch.sampling["top_logprobs"][:, None]
    top = np.full((rows, TOP_LOGPROBS_MAX), -1, np.int32)
    values = np.full((rows, TOP_LOGPROBS_MAX), -np.inf, np.float32)
    top[:, : order.shape[1]] = np.where(unwanted, -1, order)
    values[:, : order.shape[1]] = np.where(unwanted, -np.inf, np.take_along_axis(logs, order, axis=1))
    own = logs[np.arange(rows), tokens] if rows else np.zeros(0, np.float32)
    return StepOutput(tokens, own, top, values, seconds, joules)
