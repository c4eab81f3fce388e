"""Small fabric programs by hand, and plain machines to run them on. Knows no simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.value import DType
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import Delay, In, Memory, MicroOp, Out, Vector
from undiced.sim.fabric.outcome import Outcome
from undiced.sim.fabric.program import FabricProgram, Paint, Section
from undiced.sim.fabric.roles import core
from undiced.sim.fabric.routes import Port, Switch, Way

Simulate = Callable[..., Outcome]
Script = tuple[MicroOp, ...]
CORE, NORTH, SOUTH, EAST, WEST = Port
DEPTH = 8


def plain(
    ramp: int = 2, run: int = 0, pause: int = 0, words: int = 2, depth: int = DEPTH, bound: bool = False
) -> Hardware:
    """A machine whose queues all have one depth."""
    queues = (depth,) * 8
    return Hardware(ramp, 1, run, pause, words, queues, queues, bound, 24, 8)


def way(sources: str, targets: str) -> Way:
    """A position of a switch by the first letters of its ports: from `sources` to `targets`."""
    ports = {port.name[0]: port for port in Port}
    return Way(tuple(ports[s] for s in sources), tuple(ports[t] for t in targets))


def switch(*ways: str, ring: bool = True) -> Switch:
    """A switch by positions such as "C>E" and "W>CE"."""
    return Switch(tuple(way(*text.split(">")) for text in ways), ring)


def floats(count: int, address: int = 0, dtype: DType = DType.F32) -> Memory:
    """A vector of a core's memory, one element beside the other."""
    assert count > 0
    return Memory(address, (1,), dtype)


def send(count: int, color: int = 0, queue: int = 0, address: int = 0, **more: object) -> Vector:
    """A vector of memory goes out, with no set-up."""
    out = Out(queue, color, **more)  # type: ignore[arg-type]
    return Vector("move", out, Memory(address, (1,), out.dtype), extents=(count,))


def receive(count: int, color: int = 0, queue: int = 0, address: int = 0, setup: float = 0.0) -> Vector:
    """A vector comes in, to memory."""
    return Vector("move", floats(count, address), In(queue, color), extents=(count,), setup=setup)


def program(
    width: int,
    height: int,
    paints: Iterable[tuple[tuple[int, int], int, Switch]],
    *sections: dict[tuple[int, int], Script],
    memory_bytes: int = 256,
) -> FabricProgram:
    """A program by single cores: what each router's colors do, and each core in each section."""
    return FabricProgram(
        width,
        height,
        memory_bytes,
        tuple(Paint(core(*at), color, how) for at, color, how in paints),
        tuple(
            Section(f"step {n}", tuple((core(*at), script) for at, script in section.items()))
            for n, section in enumerate(sections)
        ),
    )


def line(scripts: list[Script], paints: list[dict[int, Switch]], memory_bytes: int = 256) -> FabricProgram:
    """A program on a row of cores, from west to east."""
    painted = [((x, 0), color, how) for x, of in enumerate(paints) for color, how in of.items()]
    return program(len(scripts), 1, painted, {(x, 0): s for x, s in enumerate(scripts) if s}, memory_bytes=memory_bytes)


def eastward(cores: int, color: int = 0) -> list[dict[int, Switch]]:
    """Switches of a row whose first core sends to its last."""
    middle = [{color: switch("W>E")} for _ in range(cores - 2)]
    return [{color: switch("C>E")}, *middle, {color: switch("W>C")}]


def numbers(width: int, height: int, memory_bytes: int = 256, seed: int = 0) -> NDArray[np.uint8]:
    """Memory full of small whole 32-bit floats, so that sums are exact in any order."""
    drawn = np.random.default_rng(seed).integers(-8, 9, (height, width, memory_bytes // 4))
    return drawn.astype(np.float32).view(np.uint8)


def words(outcome: Outcome, x: int, y: int, count: int, address: int = 0) -> list[float]:
    """32-bit floats of a core's memory, as the program left it."""
    found: list[float] = outcome.memory[y, x, address : address + 4 * count].view(np.float32).tolist()
    return found


def idle(cycles: float, *then: MicroOp) -> Script:
    """What is done after so many cycles."""
    return (Delay(cycles), *then)
