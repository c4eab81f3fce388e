"""A layer of a compiled program on its real region, every wavelet of it, with the numbers of the mesh executor.

python benchmarks/fabric_layer.py PROGRAM [--region 1] [--layer 3] [--position 4095]
python benchmarks/fabric_layer.py llama-3.1-8b --mapping waferllm --machine wse2 --sides 420x420 --position 4199

PROGRAM is what `undiced compile -o` wrote; or a configuration's name, of whose first layer a published mapping's
program is made that computes the model as it is, with all heads (what `undiced compile` makes of one is its benchmark).
Weights, states, and past keys and values are random numbers of the right shapes, from a seed. It prints how many of the
numbers that each run leaves have the bits of level 1, and one JSON line with cycles beside the clock's. `undiced fabric
layer` tells instructions apart.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from undiced.compiler.wafer.asked import with_layers
from undiced.compiler.wafer.published.build import MAPPINGS, build_whole
from undiced.machine import find_machine
from undiced.machine.timeline import critical_path
from undiced.model import build_config, preset
from undiced.program import Bounds
from undiced.program.file import load
from undiced.program.wafer.program import Region, WaferProgram
from undiced.program.wafer.value import Kind, Value
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.frame import Frame
from undiced.sim.fabric.lower.lower import lower
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
from undiced.study.words import parse_region

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


def alike(outcome: Outcome, frame: Frame, name: str, wanted: F32) -> tuple[int, int]:
    """How many numbers of a value have the bits of level 1, of how many; of a cache those that it has room for."""
    found = image.read(outcome.memory, frame, name)
    wanted = np.broadcast_to(wanted, (*found.shape[:2], *wanted.shape[2:]))
    some = tuple(slice(min(sizes)) for sizes in zip(found.shape, wanted.shape, strict=True))
    bits = (np.ascontiguousarray(each[some]).view(np.uint32) for each in (found, wanted))
    same = np.equal(*bits)
    return int(same.sum()), same.size


def published(asked: argparse.Namespace) -> WaferProgram:
    """The first layer of a configuration as a published mapping computes it, between embedding and head."""
    graph = build_config(with_layers(preset(asked.program), 1))
    sides = parse_region(asked.sides)
    return build_whole(graph, find_machine(asked.machine), asked.mapping, sides, Bounds(1, asked.position + 1), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--region", type=int, default=1, help="number of a program's region")
    parser.add_argument("--layer", type=int, default=3)
    parser.add_argument("--position", type=int, default=4095)
    parser.add_argument("--mapping", choices=MAPPINGS)
    parser.add_argument("--machine", default="wse2")
    parser.add_argument("--sides", default="auto", help="of the region of a published mapping")
    asked = parser.parse_args()
    if asked.mapping:
        asked.region = asked.layer = 0
    program = published(asked) if asked.mapping else load(Path(asked.program))
    assert isinstance(program, WaferProgram)
    wafer, region = find_machine(program.machine), program.regions[asked.region]
    streams = [run.stream for run in region.runs]
    runs = [n for n, run in enumerate(region.runs) if run.layer == asked.layer]
    runs = [n for n in runs if streams[n] not in streams[runs[0] : n]]  # a benchmark repeats one layer
    states, cycles, clock = Bound(), dict[str, int](), 0.0
    for number in runs:
        made = lower(program, asked.region, [number], token=0, position=asked.position, wafer=wafer)
        (frame,), (stream,) = made.frames, made.streams
        given = Given(program, region, number, asked.position, states)
        memory, wanted = made.memory([given.arrays]), given.level1(0)
        del given
        start = time.perf_counter()
        outcome = simulate(made.program, Hardware.of(wafer), memory=memory)
        cycles[stream.name], seconds = outcome.cycles, time.perf_counter() - start
        print(f"{stream.name}: {outcome.status} after {outcome.cycles} cycles, {seconds:.1f} s of this machine")
        for name in (name for name in wanted if name in frame.homes):
            same, count = alike(outcome, frame, name, wanted[name])
            print(f"  {name}: {same} of {count} numbers have the bits of level 1")
        states |= {name: array for name, array in wanted.items() if name in states}
        path = critical_path(wafer, stream.instructions, frame.shares, 1e9, synchronous=stream.synchronous)
        clock += path.cost.cycles
        del memory, outcome
    print(json.dumps({"cycles": sum(cycles.values()), "clock": round(clock, 1), "runs": cycles}))


if __name__ == "__main__":
    main()
