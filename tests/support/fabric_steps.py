"""Steps of the mesh executor, instruction by instruction, beside what the fabric's simulator makes of them."""

from dataclasses import dataclass

import numpy as np
from support.mesh_models import tiny
from support.meshes import compile_mesh

from undiced.machine import wse3
from undiced.program.wafer.elements import element
from undiced.program.wafer.layout import POSITION, Axis
from undiced.program.wafer.operands import writes
from undiced.program.wafer.value import Kind, local_shape
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.frame import aligned
from undiced.sim.fabric.lower.lower import frames, lowered
from undiced.sim.fabric.program import FabricProgram
from undiced.sim.fabric.simulate import simulate
from undiced.sim.mesh.executor import MeshExecutor


@dataclass
class Moment:
    """What cores hold after an instruction of a run (the run's number in its region)."""

    region: int
    run: int
    index: int
    instruction: object
    arrays: dict
    lasting: dict


class Record:
    """Pass it as `watch` to one step: keeps every moment of it, and one before each run."""

    def __init__(self, program):
        self.program, self.moments, self._at = program, [], (0, 0, -1)

    def __call__(self, run, instruction, cores):
        region, number, index = self._at
        stream = self.program.streams[run.stream]
        index += 1
        caches = {value.name: cores.cache(value.name, 0).copy() for value in stream.values if value.kind is Kind.CACHE}
        arrays = {name: np.array(array[:, :, 0]) for name, array in cores.arrays.items()}
        self.moments.append(Moment(region, number, index, instruction, arrays, {**cores.bound, **caches}))
        if index == len(stream.instructions) - 1:
            number, index = number + 1, -1
            if number == len(self.program.regions[region].runs):
                region, number = region + 1, 0
        self._at = (region, number, index)


def recorded(name, rows, columns, choices, tokens, **how):
    """A program of a tiny model, and all moments of the step of the last of its tokens."""
    graph, weights = tiny(name)
    program = compile_mesh(graph, rows, columns, choices=choices, **{"context": 64, **how})
    return program, watched(program, weights, tokens)


def watched(program, weights, tokens):
    """All moments of the step of the last token."""
    mesh = MeshExecutor(program, weights.__getitem__, "wafer")
    if tokens[:-1]:
        mesh.step([(0, tokens[:-1])])
    record = Record(program)
    mesh.step([(0, tokens[-1:])], record)
    return record.moments


def before(moments, run, frame):
    """What cores hold before a run of the first region."""
    first = next(moment for moment in moments if (moment.region, moment.run) == (0, run))
    last = next((moment for moment in reversed(moments) if (moment.region, moment.run) == (0, run - 1)), None)
    return dict(first.lasting) if last is None else before_one(last, first, frame)


def alone(program, earlier, moment, token, position, wafer=None):
    """The frame and the outcome of one instruction by itself, with what level 1 has before it."""
    wafer = wafer or wse3()
    (frame,), _ = frames(program, moment.region, [moment.run], token, position, wafer)
    made = lowered(moment.instruction, frame)
    region = frame.region
    width, height = (region.rows, region.columns) if region.turned else (region.columns, region.rows)
    memory = np.zeros((height, width, aligned(frame.top)), np.uint8)
    image.fill(memory, frame, before_one(earlier, moment, frame))
    one = FabricProgram(width, height, memory.shape[2], (), made.sections)
    return frame, simulate(one, Hardware.of(wafer), memory=memory, threads=1)


def before_one(earlier, moment, frame):
    """What cores hold before an instruction: at the start of a run, what lasts and states."""
    if earlier.run == moment.run:
        return {**earlier.lasting, **earlier.arrays}
    states = {name: array for name, array in earlier.arrays.items() if frame.homes.get(name) is not None}
    return {**moment.lasting, **{n: array for n, array in states.items() if frame.value(n).kind is Kind.STATE}}


def differing(frame, memory, moment):
    """Names of values that the instruction wrote and whose bits are not those of level 1."""
    names = [name for name in written(moment.instruction) if frame.shares.stored(name).name not in frame.sliced]
    return [name for name in names if not same(frame, memory, moment, name)]


def written(instruction):
    """What an instruction writes that level 1 has, too."""
    return [name for name in writes(instruction) if name and name != getattr(instruction, "scratch", "")]


def same(frame, memory, moment, name):
    """Whether a value's bits are level 1's wherever that has numbers, on cores that have it."""
    found, wanted = image.read(memory, frame, name), level1(frame, moment, name)
    found = np.ascontiguousarray(found[tuple(slice(size) for size in wanted.shape)])
    seen = ~np.isnan(wanted) & _having(frame, name) & _filled(frame, name) & _sliced(frame, name)
    return seen.any() and bool((found.view(np.uint32) == wanted.view(np.uint32))[seen].all())


def level1(frame, moment, name):
    """[rows, columns, *share] of a value as level 1 has it."""
    stored = frame.shares.stored(name).name
    array = moment.arrays[stored] if stored in moment.arrays else moment.lasting[stored]
    flat = array.reshape(*array.shape[:2], -1)
    kept = frame.shares.size(stored)
    if frame.value(name).kind is Kind.CACHE:
        shape = frame.shares.shape(name)
        array = array[(slice(None), slice(None), *(slice(size) for size in shape))]
        flat = array.reshape(*array.shape[:2], -1)
    assert flat.shape[-1] == kept
    places = [element(name, index, frame.shares) for index in range(frame.shares.size(name))]
    full = np.broadcast_to(flat, (frame.region.rows, frame.region.columns, kept))[:, :, places]
    return np.ascontiguousarray(full).reshape(*full.shape[:2], *frame.shares.shape(name))


def _having(frame, name):
    """Cores that have a value at all, beside those that its parts leave out."""
    having = np.zeros((frame.region.rows, frame.region.columns), bool)
    for _, rows in frame.places(name, Axis.ROWS):
        for _, columns in frame.places(name, Axis.COLUMNS):
            having[np.ix_(rows, columns)] = True
    return having.reshape(*having.shape, *(1,) * len(frame.shares.shape(name)))


def _sliced(frame, name):
    """Elements of a root's share that are not beyond the last of what is shared out."""
    stored, part = frame.shares.stored(name), frame.shares.roots(name)
    seen = np.ones((frame.region.rows, frame.region.columns, *frame.shares.shape(name)), bool)
    if part is None or part.whole:
        return seen
    share = frame.shares.size(stored.name) - part.riders
    length = np.prod(local_shape(stored, frame.position + 1)) - part.riders
    places = np.array([element(name, n, frame.shares) for n in range(frame.shares.size(name))])
    for axis in Axis:
        for which, at in frame.places(name, axis) if len(frame.places(name, axis)) > 1 else ():
            mine = ((places >= share) | (which * share + places < length)).reshape(frame.shares.shape(name))
            seen[(at,) if axis is Axis.ROWS else (slice(None), at)] = mine
    return seen


def _filled(frame, name):
    """Elements of positions that are filled: what lies in others is nobody's."""
    names, shape = frame.shares.names(name), frame.shares.shape(name)
    seen = np.ones((frame.region.rows, frame.region.columns, *shape), bool)
    if POSITION in names and len(names) == len(shape):
        seen[...] = False
        for count, places, axis in frame.filled(name):
            where = [slice(None)] * seen.ndim
            where[0 if axis is Axis.ROWS else 1] = places
            where[2 + names.index(POSITION)] = slice(count)
            seen[tuple(where)] = True
    return seen
