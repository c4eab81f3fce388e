"""What came of a simulation: it ended, or an error says which cores wait, in what, and for what."""

from __future__ import annotations

import re

from undiced.core.errors import KernelError
from undiced.sim.fabric.kernel.operation import Color
from undiced.sim.fabric.outcome import Outcome, Waiting

_TOLD_MAX = 6
_NUMBER = re.compile(r"\bcolor (\d+)\b")


def ended(outcome: Outcome, colors: list[Color]) -> Outcome:
    """The outcome, if the program came to its end.

    Raises:
        KernelError: nothing can move any more, or the limit of cycles has come.
    """
    if outcome.status == "finished":
        return outcome
    told = "; ".join(_told(each, colors) for each in outcome.waiting[:_TOLD_MAX])
    more = len(outcome.waiting) - _TOLD_MAX
    waits = f"{told}; and {more} more." if more > 0 else f"{told}."
    if outcome.status == "deadlock":
        raise KernelError(
            f"Deadlock: after cycle {outcome.cycles:,} nothing can move any more. {waits}",
            remedy="Compare the lengths on both sides of a color, its ways between them, and which switch has not "
            "moved on.",
        )
    raise KernelError(
        f"Not at its end after {outcome.cycles:,} cycles. {waits}",
        remedy="Raise the limit, if it is right to take so long.",
    )


def named(text: str, colors: list[Color]) -> str:
    """What the simulator says, with the kernel's names of colors."""
    names = {str(color.number): str(color) for color in colors}
    return _NUMBER.sub(lambda found: f"color {names.get(found[1], found[1])!r}", text)


def _told(waiting: Waiting, colors: list[Color]) -> str:
    what = f", in {waiting.operation} of step {waiting.section!r}" if waiting.operation else ""
    return f"({waiting.x}, {waiting.y}) {waiting.thread}{what}: {named(waiting.why, colors)}"
