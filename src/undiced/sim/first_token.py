"""Time to the first token: a prompt in chunks through the pipeline of regions. Knows programs, no mapping.

A chunk is a batch of positions of one sequence; how many fit is what the fullest core has free, in whole activations.
"""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.wafer import Wafer
from undiced.program import Program
from undiced.sim.analytic import Step, simulate

_CHUNK_MAX = 512


@dataclass(frozen=True, slots=True)
class FirstToken:
    """A prompt's way: chunk size, cycles, and seconds at `clock_hz`."""

    prompt: int
    chunk: int
    cycles: float
    clock_hz: float

    @property
    def seconds(self) -> float:
        """At the clock."""
        return self.cycles / self.clock_hz


def first_token(program: Program, wafer: Wafer, prompt: int, clock_hz: float) -> FirstToken:
    """The fastest chunking that fits. On average a position attends to half of the prompt."""
    best: FirstToken | None = None
    chunk = 1
    while chunk <= min(_chunk_limit(program), max(prompt, 1)):
        step = Step(batch=chunk, context=max(1, prompt // 2), clock_hz=clock_hz)
        report = simulate(program, wafer, step)
        chunks = -(-prompt // chunk)
        cycles = report.token_cycles + (chunks - 1) * report.initiation_interval_cycles
        if best is None or cycles < best.cycles:
            best = FirstToken(prompt, chunk, cycles, clock_hz)
        chunk *= 2
    assert best is not None
    return best


def _chunk_limit(program: Program) -> int:
    """Positions whose activations fit beside weights and KV; one where the mapping did not record its buffers."""
    facts = dict(program.facts)
    buffers = facts.get("buffer_bytes_per_sequence", 0.0)
    if buffers <= 0:
        return 1
    return max(1, min(_CHUNK_MAX, 1 + int(facts.get("free_bytes", 0.0) // buffers)))
