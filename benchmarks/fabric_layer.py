"""Runs of a compiled program on their real region: every wavelet at level 2, beside the clock and the mesh executor.

python benchmarks/fabric_layer.py PROGRAM [--region 1] [--layer 3] [--position 4095] [--values]

PROGRAM is what `undiced compile -o` wrote. Weights, states, and past keys and values are random numbers of the right
shapes, from a seed. It prints how long each instruction took at level 2 and takes in the clock; with `--values` whether
each state and cache has the bits of level 1; and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from undiced.machine import find_machine
from undiced.machine.timeline import critical_path
from undiced.machine.wafer import Wafer
from undiced.program.file import load
from undiced.program.wafer.program import Region, WaferProgram
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import Kind, Value
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.lower import Run, lower
from undiced.sim.fabric.outcome import Outcome
from undiced.sim.fabric.simulate import simulate
from undiced.sim.mesh.batch import Batch
from undiced.sim.mesh.binding import Bound, bind
from undiced.sim.mesh.caches import Caches
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.declarations import Declarations
from undiced.sim.mesh.executor import EXECUTORS
from undiced.sim.mesh.rounding import rounded
from undiced.sim.mesh.spreading import spread

F32 = NDArray[np.float32]
SEED = 1


def numbers(name: str, *shape: int) -> F32:
    """Normal numbers that depend on a name and the seed alone."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())]).standard_normal(shape, dtype=np.float32)


def slot(program: WaferProgram, name: str) -> F32:
    """A weight of the size that checkpoints have; norms near 1."""
    found = next(slot for slot in program.slots if slot.name == name)
    if found.rows == 1:
        return 1 + 0.1 * numbers(name, found.columns)
    return numbers(name, found.rows, found.columns) / np.float32(np.sqrt(found.columns))


class Given:
    """What cores hold before a run: weights, states, past positions; and what level 1 makes of them."""

    def __init__(self, program: WaferProgram, region: Region, number: int, position: int, states: Bound) -> None:
        run = region.runs[number]
        alone = structs.replace(program, regions=(structs.replace(region, runs=(run,)),))
        self.stream, self.position, self.region = program.streams[run.stream], position, region
        ((self.bound,),) = bind(alone, lambda name: slot(program, name), "wafer")
        every = [v for stream in program.streams for v in stream.values if v.kind is Kind.STATE]
        self.values = Declarations((*every, *self.stream.values), program.trees)
        self.caches = Caches(region.rows, region.columns, self.values)
        self.states = states
        for value in self.stream.values:
            if value.kind is Kind.STATE and value.view is None and value.name not in states:
                states[value.name] = self._state(value)
        self.past = {value.name: self._past(value) for value in self.stream.values if value.kind is Kind.CACHE}

    def _state(self, value: Value) -> F32:
        whole = numbers(value.name, *(dim.size for dim in value.dims))
        made = np.ones_like(whole) if not value.dims else whole
        return spread(value, rounded(made, value.dtype), self.region.rows, self.region.columns)

    def _past(self, value: Value) -> F32:
        whole = numbers(value.name, *(dim.size for dim in value.dims))
        shares = spread(value, rounded(whole, value.dtype), self.region.rows, self.region.columns)
        array = self.caches.array(value.name, 0, self.position + 1)
        some = tuple(slice(min(a, b)) for a, b in zip(array.shape, shares.shape, strict=True))
        array[some] = shares[some]
        return np.array(array)

    @property
    def arrays(self) -> Mapping[str, F32]:
        """By name, as a loader puts them down."""
        return {**self.bound, **self.past, **self.states}

    def level1(self, token: int) -> Bound:
        """States and caches after the run."""
        one = np.array([0])
        batch = Batch(one + token, one + self.position, one, one + self.position + 1)
        cores = Cores(self.region.rows, self.region.columns, "wafer", batch)
        cores.begin(self.values, self.bound, self.caches)
        cores.arrays = {name: array[:, :, None] for name, array in self.states.items()}
        for instruction in self.stream.instructions:
            EXECUTORS[type(instruction)](cores, instruction)
        cores.leave_states()
        past = {name: self.caches.array(name, 0, self.position + 1) for name in self.past}
        return {**{name: np.array(array[:, :, 0]) for name, array in cores.arrays.items()}, **past}


def spans(made: Run, outcome: Outcome, wafer: Wafer) -> Iterator[tuple[str, float, float, int, int]]:
    """Of each instruction its name, start and end in the clock, and at level 2, all in cycles of its run."""
    for number, (frame, stream) in enumerate(zip(made.frames, made.streams, strict=True)):
        pieces = [piece for piece in made.pieces if piece.frame == number]
        path = critical_path(wafer, stream.instructions, frame.shares, 1e9, synchronous=stream.synchronous)
        begun = [int(outcome.sections[s][0]) for piece in pieces for s in piece.sections]
        first = min(begun, default=0)
        for piece, span in zip(pieces, path.spans, strict=True):
            found = outcome.sections[piece.sections.start : piece.sections.stop]
            if len(found):
                start, end = int(found[:, 0].min()) - first, int(found[:, 1].max()) - first
                name = f"{stream.name} {piece.index:2} {type(piece.instruction).__name__.lower()}"
                yield f"{name} {piece.instruction.node}", span.start, span.end, start, end


def trees(known: tuple[Tree, ...], asked: list[str]) -> Iterator[Tree]:
    """Trees with other levels, where that is asked."""
    levels = dict(each.split("=") for each in asked)
    for number, tree in enumerate(known):
        sizes = levels.get(str(number), "")
        made = tuple(Level(int(size.rstrip("*")), size.endswith("*")) for size in sizes.split(",") if size)
        yield structs.replace(tree, levels=made) if made else tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--region", type=int, default=1)
    parser.add_argument("--layer", type=int, default=3)
    parser.add_argument("--stream", default="", help="of the layer's streams this one alone")
    parser.add_argument("--position", type=int, default=4095)
    parser.add_argument("--values", action="store_true", help="compute level 1, too, and compare")
    parser.add_argument("--zeros", action="store_true", help="all numbers are 0: less memory, the same cycles")
    parser.add_argument("--tree", action="append", default=[], help="N=8,13,5*: other levels of tree N, * for a star")
    asked = parser.parse_args()
    program = load(asked.program)
    assert isinstance(program, WaferProgram)
    program = structs.replace(program, trees=tuple(trees(program.trees, asked.tree)))
    wafer, region = find_machine(program.machine), program.regions[asked.region]
    names = [program.streams[run.stream].name for run in region.runs if run.layer == asked.layer]
    first = next(n for n, run in enumerate(region.runs) if run.layer == asked.layer)
    runs = [first + n for n, name in enumerate(names) if name not in names[:n] and asked.stream in ("", name)]
    states, totals = Bound(), dict[str, float]()
    cycles = clock = 0.0
    for number in runs:
        made = lower(program, asked.region, [number], token=0, position=asked.position, wafer=wafer)
        given = None if asked.zeros else Given(program, region, number, asked.position, states)
        memory = made.memory([given.arrays if given else {}])
        wanted = given.level1(0) if given and asked.values else {}
        del given
        start = time.perf_counter()
        outcome = simulate(made.program, Hardware.of(wafer), memory=memory)
        print(f"{outcome.status} after {outcome.cycles} cycles, {time.perf_counter() - start:.1f} s of this machine")
        frame = made.frames[0]
        path = critical_path(
            wafer, made.streams[0].instructions, frame.shares, 1e9, synchronous=made.streams[0].synchronous
        )
        for name, a, b, c, d in spans(made, outcome, wafer):
            print(f"{name[:60]:60} clock {a:8.0f} {b:8.0f} {b - a:7.0f}   fabric {c:8} {d:8} {d - c:7}")
        for name, array in ((n, a) for n, a in wanted.items() if n in frame.homes):
            found = image.read(outcome.memory, frame, name)
            array = np.broadcast_to(array, (*found.shape[:2], *array.shape[2:]))
            some = tuple(slice(min(a, b)) for a, b in zip(found.shape, array.shape, strict=True))
            same = np.ascontiguousarray(found[some]).view(np.uint32) == np.ascontiguousarray(array[some]).view(
                np.uint32
            )
            print(f"{name}: {same.mean():.6f} of {same.size} numbers have the bits of level 1")
            if name in states:
                states[name] = np.array(array)
        cycles, clock = cycles + outcome.cycles, clock + path.cost.cycles
        totals[made.streams[0].name] = outcome.cycles
        del memory, outcome
    print(json.dumps({"cycles": cycles, "clock": round(clock, 1), "runs": totals}))


if __name__ == "__main__":
    main()
