"""What one stream of a draft takes, by its critical path."""

from __future__ import annotations

from undiced.compiler.wafer.addresses import state_values
from undiced.compiler.wafer.draft import Draft
from undiced.machine.timeline import critical_path
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Tree


def stream_cycles(draft: Draft, stream: Stream, trees: tuple[Tree, ...], step: Step) -> float:
    """Cycles of a stream by itself, with these trees, in a step."""
    states = {value.name: value for value in state_values((*draft.streams, stream))}
    shares = Shares(
        states | {value.name: value for value in stream.values}, trees, step.ending if stream.last else step
    )
    clock = draft.task.wafer.system.clock_hz.value
    return critical_path(draft.task.wafer, stream.instructions, shares, clock).cost.cycles
