"""The table of instructions that stay on their core, and what each becomes: one section, whose blocks are by roles.

Movers have a table of their own. Here values are vectors in memory, and times are those of the analytic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from undiced.core.errors import UnsupportedError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Axis
from undiced.program.wafer.operands import reads, writes
from undiced.program.wafer.value import GROUPS, shard_of
from undiced.program.wafer.work import Work
from undiced.program.wafer.workload import work
from undiced.sim.fabric.lower import local_elementwise, local_functions, local_positions, selects
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.lower.local_choices import mark, pick, place
from undiced.sim.fabric.lower.local_elementwise import Groups
from undiced.sim.fabric.lower.local_experts import experts
from undiced.sim.fabric.lower.local_folds import fold
from undiced.sim.fabric.lower.local_integers import Widened, widen
from undiced.sim.fabric.lower.local_products import product
from undiced.sim.fabric.lower.local_prompts import causal, read
from undiced.sim.fabric.lower.lowered import Blocks, Lowered
from undiced.sim.fabric.lower.timed import at_once, timed_calls
from undiced.sim.fabric.program import Section
from undiced.sim.fabric.roles import Role

Grouped = Callable[[isa.Instruction, Frame, int], Groups]


def local(i: isa.Instruction, frame: Frame) -> Lowered:
    """What an instruction becomes that moves nothing between cores.

    Raises:
        UnsupportedError: it has no level 2, by name.
    """
    if type(i) not in LOCAL:
        raise UnsupportedError(f"{type(i).__name__} of {i.node} has no level 2.", remedy=LACKING[type(i)])
    lower = LOCAL[type(i)]
    blocks = lower(i, frame)
    return Lowered((Section(f"{type(i).__name__.lower()} of {i.node}", blocks),) if blocks else ())


def _alike(group: Grouped) -> Callable[[isa.Instruction, Frame], Blocks]:
    """Of an instruction that every core which makes its result runs alike."""

    def blocks(i: isa.Instruction, frame: Frame) -> Blocks:
        done = work(i, frame.shares)
        return tuple(
            (role, tuple(at_once(frame.wafer.core, done, group(i, frame, which))))
            for which, role in frame.makers(writes(i)[0], *reads(i))
        )

    return blocks


def _apply(i: isa.Apply, frame: Frame) -> Blocks:
    """Vector sequences, or scalar code of the library."""
    if i.by == "vectors":
        return _alike(cast(Grouped, local_functions.apply))(i, frame)
    done = work(i, frame.shares)
    return tuple(
        (role, tuple(timed_calls(frame.wafer.core, done, local_functions.library(i, frame, which))))
        for which, role in frame.makers(i.result, i.a)
    )


def _fold(i: isa.Fold, frame: Frame) -> Blocks:
    over = POSITION in frame.shares.names(i.a) and POSITION not in frame.shares.names(i.result)
    if not over:
        return _alike(lambda _, f, which: [fold(i, f, which)])(i, frame)
    return _by_positions(i, i.a, frame, lambda count: [fold(i, frame, 0, count)])


def _product(i: isa.Product, frame: Frame) -> Blocks:
    if i.expert:
        return experts(i, frame)
    if frame.value(i.weights[0]).dtype in GROUPS:
        return tuple(
            (role, tuple(Widened.of(i, frame, which).ops())) for which, role in frame.makers(writes(i)[0], *reads(i))
        )
    caches = [w for w in i.weights if POSITION in frame.shares.names(w)]
    if not caches or POSITION in frame.shares.names(i.results[0]):
        return _alike(cast(Grouped, product))(i, frame)
    return _by_positions(i, caches[0], frame, lambda count: product(i, frame, 0, count))


def _widen(i: isa.Widen, frame: Frame) -> Blocks:
    return ((frame.role(), widen(i, frame)),)


def _by_positions(i: isa.Instruction, name: str, frame: Frame, groups: Callable[[int], Groups]) -> Blocks:
    """Cores with one position less than others sum over so many less."""
    part = shard_of(frame.value(name), POSITION)
    assert part is not None, name
    out: list[tuple[Role, tuple[object, ...]]] = []
    for count, places, axis in frame.filled(name):
        made = groups(count)
        done = work(i, frame.at_positions(count, part.ways)) if count else _cleared(i, frame)
        if not count:
            made = made[-len(done.vectors) :]
        role = frame.role(places) if axis is Axis.ROWS else frame.role(None, places)
        out.append((role, tuple(at_once(frame.wafer.core, done, made))))
    return cast(Blocks, tuple(out))


def _cleared(i: isa.Instruction, frame: Frame) -> Work:
    """Of a core that has no position yet."""
    vectors = [v for name in writes(i) for v in work(isa.Fill(i.node, name, 0.0), frame.shares).vectors]
    return Work(tuple(vectors))


def _nothing(i: isa.Slice, frame: Frame) -> Blocks:
    """An address."""
    return ()


LOCAL: dict[type[isa.Operation], Callable[[isa.Instruction, Frame], Blocks]] = {
    kind: cast(Callable[[isa.Instruction, Frame], Blocks], blocks)
    for kind, blocks in (
        (isa.Product, _product),
        (isa.Widen, _widen),
        (isa.Combine, _alike(cast(Grouped, local_elementwise.combine))),
        (isa.Scale, _alike(cast(Grouped, local_elementwise.scale))),
        (isa.Copy, _alike(cast(Grouped, local_elementwise.copy))),
        (isa.Fill, _alike(cast(Grouped, local_elementwise.fill))),
        (isa.Apply, _apply),
        (isa.Fold, _fold),
        (isa.Rotate, _alike(cast(Grouped, local_elementwise.rotate))),
        (isa.Mask, local_positions.mask),
        (isa.Lookup, local_positions.lookup),
        (isa.Append, local_positions.append),
        (isa.Select, selects.select),
        (isa.Draw, selects.draw),
        (isa.Mark, mark),
        (isa.Place, place),
        (isa.Pick, pick),
        (isa.Causal, causal),
        (isa.Read, read),
        (isa.Slice, _nothing),
    )
}
LACKING: dict[type[isa.Operation], str] = {
    isa.Transfer: "Simulate the whole token: a region by itself is handed nothing.",
    isa.Return: "Simulate the whole token: a region by itself hands no token back.",
}
"""What has no level 2 by itself, and what to do instead."""
