"""From a kernel to a fabric program for one machine: sections, queues, memory at the start.

Refuses what breaks a rule, with coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import KernelError
from undiced.machine.fabric import fabric
from undiced.machine.wafer import Wafer
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.kernel.array import Array
from undiced.sim.fabric.kernel.cores import Area
from undiced.sim.fabric.kernel.costs import Costs
from undiced.sim.fabric.kernel.kernel import Block, Kernel
from undiced.sim.fabric.kernel.layout import CORE, Painted, check
from undiced.sim.fabric.kernel.lower import Lowering
from undiced.sim.fabric.kernel.operation import Color
from undiced.sim.fabric.kernel.queues import Queues, heard, operations, rewritten, sent
from undiced.sim.fabric.microops import Bind, MicroOp
from undiced.sim.fabric.program import FabricProgram, Paint, Section

_OWN = "Make it with kernel.array or kernel.color of this one."


@dataclass(frozen=True, slots=True)
class Built:
    """What the simulator takes."""

    program: FabricProgram
    hardware: Hardware
    memory: NDArray[np.uint8]


def built(kernel: Kernel, wafer: Wafer, *, setup: float | None = None, link_rate: float | None = None) -> Built:
    """The kernel on a machine.

    Raises:
        KernelError: it is larger than the machine, or a color leads nowhere, or is used where it is not painted.
    """
    _fits(kernel, wafer)
    switches = _switches(kernel)
    check(switches, kernel.width, kernel.height)
    _painted(kernel, switches)
    inputs, outputs = _queues(wafer, kernel)
    inputs.assign((color, block.cores) for block in kernel.blocks for color in heard(block.statements))
    outputs.assign((color, block.cores) for block in kernel.blocks for color in sent(block.statements))
    hardware = Hardware.of(wafer, link_rate=link_rate)
    costs = Costs(wafer, setup)
    lowering = Lowering(costs, inputs, outputs)
    binder = _Binder(kernel, outputs, costs.bind()) if hardware.bound and outputs.shared else None
    sections = []
    for step, blocks in _steps(kernel):
        made = tuple(
            (block.cores.role, (*(binder.before(block) if binder else ()), *lowering.block(block.statements)))
            for block in blocks
        )
        sections.append(Section(step, made))
    memory = kernel.memory()
    paints = tuple(Paint(each.cores.role, each.color.number, each.switch) for each in kernel.paints if each.cores)
    program = FabricProgram(kernel.width, kernel.height, memory.shape[2], paints, tuple(sections))
    return Built(program, hardware, memory)


def _fits(kernel: Kernel, wafer: Wafer) -> None:
    width, height = wafer.mesh.size
    if kernel.width > width or kernel.height > height:
        raise KernelError(
            f"{kernel.name} takes {kernel.width} x {kernel.height} cores, and {wafer.name} has {width} x {height}.",
            remedy="Make it smaller, or take another machine.",
        )
    most = int(wafer.core.sram_bytes.value)
    if kernel.memory_bytes > most:
        raise KernelError(
            f"The arrays of {kernel.name} take {kernel.memory_bytes:,} bytes of each core, and {wafer.name} has "
            f"{most:,}.",
            remedy="Make them smaller, or spread them over more cores.",
        )
    colors = fabric(wafer).colors
    if len(kernel.colors) > colors:
        raise KernelError(
            f"{kernel.name} has {len(kernel.colors)} colors, and {wafer.name} leaves programs {colors}.",
            remedy="Use a color for several things: at other cores, or with other positions of its switches.",
        )


def _switches(kernel: Kernel) -> list[Painted]:
    """All that routers ever have: painted, and written by their cores."""
    found = list(kernel.paints)
    for block in kernel.blocks:
        for each in rewritten(block.statements):
            if each.switch is not None:
                found.append(Painted(block.cores, each.color, each.switch))
    return found


def _painted(kernel: Kernel, switches: list[Painted]) -> None:
    """See that every color that a core hears or sends goes to or comes from it."""
    for block in kernel.blocks:
        _owned(kernel, block)
    sends, hears = _ends(kernel, switches, "sources"), _ends(kernel, switches, "targets")
    for block in kernel.blocks:
        for what, ends, colors in (("sends", sends, sent(block.statements)), ("hears", hears, heard(block.statements))):
            for color in dict.fromkeys(colors):
                at = ends[color].without(block.cores)
                if at is not None:
                    way = "way(CORE, to=...)" if what == "sends" else "way(..., to=CORE)"
                    raise KernelError(
                        f"Core {at} {what} color {color} in step {block.step}, and its router has no way for that.",
                        remedy=f"Paint {color} there with a {way}.",
                    )


def _owned(kernel: Kernel, block: Block) -> None:
    """See that a block uses arrays and colors of its own kernel."""
    used = [operand for each in operations(block.statements) for operand in each.operands]
    for each in used:
        mine = kernel.arrays.get(each.name) if isinstance(each, Array) else None
        if isinstance(each, Array) and (mine is None or (mine.address, mine.dtype) != (each.address, each.dtype)):
            raise KernelError(
                f"Step {block.step} at cores {block.cores} uses an array {each} of another kernel.", remedy=_OWN
            )
    written = (each.color for each in rewritten(block.statements))
    for color in (*heard(block.statements), *sent(block.statements), *written):
        if color not in kernel.colors:
            raise KernelError(
                f"Step {block.step} at cores {block.cores} uses a color {color} of another kernel.", remedy=_OWN
            )


def _ends(kernel: Kernel, switches: list[Painted], side: Literal["sources", "targets"]) -> dict[Color, Area]:
    """Of each color, the cores that some way of it comes from, or goes to."""
    out = {color: Area(kernel.width, kernel.height) for color in kernel.colors}
    for paint in switches:
        if any(CORE in getattr(way, side) for way in paint.switch.ways):
            out[paint.color].add(paint.cores)
    return out


def _queues(wafer: Wafer, kernel: Kernel) -> tuple[Queues, Queues]:
    """Input and output queues of a core: those that the host's copy routines take come last."""
    free = fabric(wafer)

    def numbers(way: Literal["input", "output"], first: tuple[int, ...]) -> tuple[int, ...]:
        there = (n for n, depth in enumerate(wafer.queues.depths(way)) if depth > 0)
        return (*first, *(n for n in there if n not in first))

    size = kernel.width, kernel.height
    return Queues(numbers("input", free.inputs), *size), Queues(numbers("output", free.outputs), *size)


def _steps(kernel: Kernel) -> list[tuple[str, list[Block]]]:
    """Blocks of one name and of different cores are one section, where no core has another block between them."""
    sections: list[tuple[str, list[Block], Area]] = []
    for block in kernel.blocks:
        home: tuple[str, list[Block], Area] | None = None
        for section in reversed(sections):
            if section[2].meets(block.cores):
                break
            if section[0] == block.step:
                home = section
        if home is None:
            home = block.step, [], Area(kernel.width, kernel.height)
            sections.append(home)
        home[1].append(block)
        home[2].add(block.cores)
    return [(step, blocks) for step, blocks, _ in sections]


class _Binder:
    """Gives output queues other colors where a core has more colors than queues."""

    def __init__(self, kernel: Kernel, outputs: Queues, cycles: float) -> None:
        self._outputs, self._cycles = outputs, cycles
        shape = (kernel.height, kernel.width)
        self._bound = {number: np.full(shape, -1, np.int16) for number in outputs.numbers}

    def before(self, block: Block) -> list[MicroOp]:
        """What comes before a block, so that its queues have its colors.

        Raises:
            KernelError: the block needs a queue for two colors at once.
        """
        out: list[MicroOp] = []
        taken: dict[int, Color] = {}
        for color in dict.fromkeys(sent(block.statements)):
            queue = self._outputs.of[color]
            if taken.setdefault(queue, color) != color:
                raise KernelError(
                    f"Cores {block.cores} send on {color} and {taken[queue]} in step {block.step}, and have one output "
                    f"queue for both.",
                    remedy="Write two blocks, so that the queue is bound anew between them, or use fewer colors.",
                )
            bound = self._bound[queue][block.cores.at]
            if ((bound >= 0) & (bound != color.number)).any():
                out.append(Bind(queue, color.number, self._cycles))
            self._bound[queue][block.cores.at] = color.number
        return out
