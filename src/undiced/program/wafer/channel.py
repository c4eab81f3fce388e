"""Channels: what shares colors, because its routes are the same. Knows movers and trees, no machine.

Every mover belongs to one channel: the sums of a tree, what its roots send back over the same lines, what an owner
sends along an axis, what passes between regions, and what returns to the first of them. A tree's two channels share its
queues: the root of slice i never sends in that slice's sum, so that its queue carries what it sends back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from undiced.program.wafer import instruction as isa
from undiced.program.wafer.instruction import Line
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.share import Shares

Use = Literal["sums", "shares", "owner", "regions", "return"]
COLORS_A_SLICE = 2  # neighbors alternate: who receives on one sends on the other
COLORS_BETWEEN_REGIONS = 2  # a region receives on one and sends on the other
_SHARES = {1: 1, 2: 3, 3: 4}  # switch positions where so many roots, or more, send back
_AXES = {Axis.ROWS: "rows", Axis.COLUMNS: "columns"}


class Channel(Struct, frozen=True, gc=False):
    """Movers with the same routes.

    Attributes:
        tree: number of the tree; -1 where there is none. slices: of the tree.
    """

    use: Use
    line: Line | None = None
    tree: int = -1
    slices: int = 1

    @property
    def colors(self) -> int:
        """Colors that it takes at each router of its lines."""
        if self.use == "sums":
            return COLORS_A_SLICE * self.slices
        return COLORS_BETWEEN_REGIONS if self.use == "regions" else 1

    @property
    def queues(self) -> int:
        """Output queues: slice i has one of its own."""
        return self.slices

    @property
    def inputs(self) -> int:
        """Input queues; what roots send arrives by one."""
        return self.slices if self.use == "sums" else 1

    @property
    def switches(self) -> int:
        """Switch positions of a color, those of sums apart: a router hears from below, sends, hears from above; a root
        that others follow also hands on to the next."""
        return 3 if self.use == "owner" else _SHARES[min(self.slices, 3)] if self.use == "shares" else 1

    @property
    def pool(self) -> Pool:
        """What it shares its queues with."""
        return self.tree if self.tree >= 0 else self

    def __str__(self) -> str:
        span = f"over {self.line.span} {_AXES[self.line.axis]}" if self.line else ""
        match self.use:
            case "sums":
                return f"sums {span} in {self.slices} slices" if self.slices > 1 else f"sums {span}"
            case "shares":
                return (
                    f"what roots of {self.slices} slices send {span}"
                    if self.slices > 1
                    else f"what a root sends {span}"
                )
            case "owner":
                return f"what an owner sends {span}"
            case "regions":
                return "what passes between regions"
            case "return":
                return "what returns to the first region"


Pool = int | Channel


def channel(mover: isa.Instruction, shares: Shares) -> Channel | None:
    """The channel of a mover; None for what moves nothing."""
    match mover:
        case isa.Reduce():
            return _of_tree("sums", mover.result, mover.line, shares)
        case isa.Multicast():
            if shares.roots(mover.a) is None:
                return Channel("owner", mover.line)
            return _of_tree("shares", mover.a, mover.line, shares)
        case isa.Transfer():
            return Channel("return" if mover.back else "regions")
        case isa.Return():
            return Channel("return")
    return None


def _of_tree(use: Use, name: str, line: Line, shares: Shares) -> Channel:
    part = shares.roots(name)
    assert part is not None
    return Channel(use, line, part.tree, shares.trees[part.tree].slices)


def queue_color(first: Mapping[Channel, int], pool: Pool, which: int) -> int:
    """The color that stands for what output queue `which` of a pool carries; `first`: the first color of each channel.

    It is the first of its slice's two: cores send on either of them, and roots on that of what they send back.
    """
    mine = {used.use: used for used in first if used.pool == pool}
    used = mine.get("sums") or next(iter(mine.values()))
    return first[used] + which * (COLORS_A_SLICE if used.use == "sums" else 0)
