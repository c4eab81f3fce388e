"""A program as the arrays that the native simulator takes. Knows their layout alone; what holds is checked there.

Cores are told apart by classes of places: along each axis, places that the same roles have. A chart says by both
classes of a core which block or switch it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import ProgramFileError
from undiced.program.wafer.value import DType
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import (
    EXTENTS_MAX,
    Bind,
    Delay,
    Fork,
    Immediate,
    Memory,
    MicroOp,
    Out,
    Repaint,
    Send,
    Source,
    Target,
    Turn,
    Vector,
    Wait,
)
from undiced.sim.fabric.program import FabricProgram
from undiced.sim.fabric.roles import Places, Role
from undiced.sim.fabric.routes import COMMANDS_MAX, POSITIONS_MAX, TIMES_MAX, Control, Port, Switch

_OPERAND = np.dtype(
    [
        ("place", "u1"),
        ("type", "u1"),
        ("queue", "u1"),
        ("color", "u1"),
        ("address", "<i4"),
        ("strides", "<i4", (EXTENTS_MAX,)),
        ("value", "<f4"),
        ("index", "<i4"),
        ("pitch", "<i4"),
    ]
)
_OP = np.dtype(
    [
        ("kind", "u1"),
        ("function", "u1"),
        ("rounded", "u1"),
        ("loops", "u1"),
        ("advance", "u1"),
        ("controls", "u1"),
        ("queue", "u1"),
        ("color", "u1"),
        ("extents", "<i4", (EXTENTS_MAX,)),
        ("target", _OPERAND),
        ("a", _OPERAND),
        ("b", _OPERAND),
        ("c", _OPERAND),
        ("setup", "<f4"),
        ("cycles", "<f4"),
        ("per_wavelet", "<i4"),
        ("script", "<i4"),
        ("threads", "<i4"),
        ("position", "<i4"),
        ("control", "<u4"),
        ("derived", "<u4"),  # by the native simulator
    ]
)
_KINDS = (Vector, Fork, Wait, Send, Turn, Bind, Delay, Repaint)
_TYPES = {DType.F32: 0, DType.F16: 1, DType.BF16: 2, DType.I8: 3, DType.I4: 4}
_FUNCTIONS = (
    "move",
    "add",
    "subtract",
    "subtract_from",
    "multiply",
    "maximum",
    "minimum",
    "multiply_add",
    "high_subtract_from",
    "high_and",
    "high_shift",
    "low_to_high_shift",
    "high_add",
    "exp",
    "reciprocal",
    "inverse_root",
    "sigmoid",
    "tanh",
    "equal",
    "above",
    "choose",
)
_NO_ROUNDING = 255
_MEMORY, _IMMEDIATE, _FABRIC = 1, 2, 3
_COLORS = 24
_BYTE = 256

Chart = tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the native simulator takes; `operations` are those of each block, for reports."""

    ops: NDArray[np.uint8]
    blocks: NDArray[np.int32]
    sections: list[Chart]
    colors: list[Chart | None]
    switches: NDArray[np.uint8]
    operations: list[tuple[MicroOp, ...]]


def encode(program: FabricProgram) -> Encoded:
    """All arrays of a program.

    Raises:
        ProgramFileError: numbers that have no place in them, a core with two roles, a router with two switches.
    """
    switches: dict[Switch, int] = {}
    code = _Code(switches)
    sections = []
    for section in program.sections:
        found = [(role, code.block(ops)) for role, ops in section.blocks]
        sections.append(_chart(program, found, f"does two things in section {section.name!r}"))
    painted: dict[int, list[tuple[Role, int]]] = {}
    for paint in program.paints:
        _within(paint.color, _COLORS, "color")
        number = switches.setdefault(paint.switch, len(switches))
        painted.setdefault(paint.color, []).append((paint.role, number))
    colors: list[Chart | None] = [None] * _COLORS
    for color, roles in painted.items():
        colors[color] = _chart(program, roles, f"has two switches for color {color}")
    records = b"".join(_switch(each) for each in switches)
    return Encoded(
        ops=_bytes(b"".join(code.records))[np.array(code.ops, dtype=np.int64)],
        blocks=np.array(code.blocks, dtype=np.int32).reshape(-1, 2),
        sections=sections,
        colors=colors,
        switches=np.frombuffer(records, dtype=np.uint8).reshape(len(switches), -1 if switches else 10).copy(),
        operations=code.operations,
    )


def figures(hardware: Hardware) -> list[int]:
    """A machine's figures in the native simulator's order."""
    h = hardware
    return [h.ramp, h.hop, h.run, h.pause, h.router_words, int(h.bound), *h.inputs, *h.outputs]


def _bytes(records: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(records, dtype=np.uint8).reshape(-1, _OP.itemsize).copy()


def _within(number: int, limit: int, what: str) -> int:
    if not 0 <= number < limit:
        raise ProgramFileError(f"There is no {what} {number}.", remedy=f"Use 0 to {limit - 1}.")
    return number


# Classes of places


def _members(places: tuple[Places, ...], length: int, axis: str) -> NDArray[np.bool_]:
    held = np.zeros(length, dtype=bool)
    for each in places:
        if (
            each.start < 0
            or each.step < 1
            or (len(range(each.start, each.stop, each.step)) and each.stop - 1 >= length)
        ):
            at = range(each.start, each.stop, max(each.step, 1))
            if each.step < 1 or each.start < 0 or (at and at[-1] >= length):
                raise ProgramFileError(
                    f"A role has places {each.start} to {each.stop} by {each.step} along {axis}; the mesh has {length}."
                )
        held[each.start : each.stop : each.step] = True
    return held


def _classes(held: NDArray[np.bool_]) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """The class of each place, and [classes, roles]: which roles a class has; `held`: [roles, places]."""
    distinct, numbers = np.unique(held.T, axis=0, return_inverse=True)
    return numbers.reshape(-1).astype(np.uint16), distinct


def _chart(program: FabricProgram, roles: Sequence[tuple[Role, int]], twice: str) -> Chart:
    if not roles:
        return (
            np.zeros(program.width, dtype=np.uint16),
            np.zeros(program.height, dtype=np.uint16),
            np.full((1, 1), -1, dtype=np.int32),
        )
    along_x = np.array([_members(role.x, program.width, "x") for role, _ in roles])
    along_y = np.array([_members(role.y, program.height, "y") for role, _ in roles])
    x, of_x = _classes(along_x)
    y, of_y = _classes(along_y)
    table = np.full((len(of_x), len(of_y)), -1, dtype=np.int32)
    for (_, number), across, down in zip(roles, of_x.T, of_y.T, strict=True):
        there = np.ix_(np.flatnonzero(across), np.flatnonzero(down))
        if (table[there] >= 0).any():
            a, b = (int(each[0]) for each in np.nonzero((table >= 0) & across[:, None] & down[None, :]))
            at = int(np.flatnonzero(x == a)[0]), int(np.flatnonzero(y == b)[0])
            raise ProgramFileError(f"Core {at} {twice}.", remedy="Roles of one kind must not overlap.")
        table[there] = number
    return x, y, table


def _switch(switch: Switch) -> bytes:
    if not 1 <= len(switch.ways) <= POSITIONS_MAX:
        raise ProgramFileError(f"A switch of {len(switch.ways)} positions.", remedy=f"Use 1 to {POSITIONS_MAX}.")
    record = [len(switch.ways), int(switch.ring)]
    for way in switch.ways:
        record += [_mask(way.sources), _mask(way.targets)]
    return bytes(record + [0] * (2 + 2 * POSITIONS_MAX - len(record)))


def _mask(ports: tuple[Port, ...]) -> int:
    return sum({1 << port for port in ports})


# Operations

_Record = tuple[object, ...]
_NO_OPERAND: _Record = (0, 0, 0, 0, 0, (0,) * EXTENTS_MAX, 0.0, -1, 0)


def _control(control: Control | None) -> int:
    if control is None:
        return 0
    if len(control.commands) > COMMANDS_MAX:
        raise ProgramFileError(f"{len(control.commands)} commands in a wavelet.", remedy=f"Use {COMMANDS_MAX} at most.")
    made = 0
    for place, (command, times) in enumerate(control.commands):
        made |= (int(command) | _within(times, TIMES_MAX + 1, "number of routers") << 2) << 6 * place
    return made


def _operand(operand: Source | Target | None, extents: int) -> _Record:
    none = (0,) * EXTENTS_MAX
    match operand:
        case None:
            return _NO_OPERAND
        case Immediate():
            return (_IMMEDIATE, 0, 0, 0, 0, none, operand.value, -1, 0)
        case Memory():
            if len(operand.strides) != extents:
                raise ProgramFileError(f"{len(operand.strides)} strides of an operation of {extents} extents.")
            strides = (*none[extents:], *operand.strides)
            place = operand.address, strides, 0.0, operand.index, operand.pitch
            return (_MEMORY, _type(operand.dtype), 0, 0, *place)
    queue, color = _within(operand.queue, _BYTE, "queue"), _within(operand.color, _COLORS, "color")
    return (_FABRIC, _type(operand.dtype), queue, color, 0, none, 0.0, -1, 0)


def _type(dtype: DType) -> int:
    if dtype not in _TYPES:
        raise ProgramFileError(
            f"Cores compute with no {dtype.value} here.", remedy="Use f32, f16 or bf16; i8 and i4 to read."
        )
    return _TYPES[dtype]


@dataclass(slots=True)
class _Code:
    """Blocks of operations, scripts of microthreads among them.

    Attributes:
        switches: the numbers of those that are painted or written.
        records: of the operations that differ; ops: the number of each block's, one behind the other.
        seen: the number of an operation by its identity, which a long script has many times over.
    """

    switches: dict[Switch, int]
    records: list[bytes] = field(default_factory=list)
    ops: list[int] = field(default_factory=list)
    blocks: list[tuple[int, int]] = field(default_factory=list)
    operations: list[tuple[MicroOp, ...]] = field(default_factory=list)
    known: dict[tuple[int, ...], int] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)

    def block(self, operations: tuple[MicroOp, ...]) -> int:
        """The number of a block; equal ones are stored once."""
        numbers = tuple(map(self._number, operations))
        if numbers not in self.known:
            self.known[numbers] = len(self.blocks)
            self.blocks.append((len(self.ops), len(numbers)))
            self.ops += numbers
            self.operations.append(operations)
        return self.known[numbers]

    def _number(self, op: MicroOp) -> int:
        if id(op) not in self.seen:
            record = np.array(self._op(op), dtype=_OP).tobytes()
            if record not in self.numbers:
                self.numbers[record] = len(self.records)
                self.records.append(record)
            self.seen[id(op)] = self.numbers[record]
        return self.seen[id(op)]

    def _op(self, op: MicroOp) -> _Record:
        kind = _KINDS.index(type(op))
        if isinstance(op, Vector):
            return _vector(op, kind)
        queue = getattr(op, "queue", 0)
        script = self.block(op.script) if isinstance(op, Fork) else 0
        threads = (
            op.thread if isinstance(op, Fork) else sum({1 << t for t in op.threads}) if isinstance(op, Wait) else 0
        )
        position = op.position if isinstance(op, Turn) else 0
        if isinstance(op, Repaint):
            position = -1 if op.switch is None else self.switches.setdefault(op.switch, len(self.switches))
        control = _control(op.control) if isinstance(op, Send) else 0
        color = _within(getattr(op, "color", 0), _COLORS, "color")
        head = (kind, 0, _NO_ROUNDING, 0, 0, 0, _within(queue, _BYTE, "queue"), color, (1,) * EXTENTS_MAX)
        return (*head, *(_NO_OPERAND,) * 4, getattr(op, "cycles", 0.0), 0.0, 1, script, threads, position, control, 0)


def _vector(op: Vector, kind: int) -> _Record:
    count = len(op.extents)
    if not 1 <= count <= EXTENTS_MAX or not 0 <= op.loops <= count:
        raise ProgramFileError(
            f"An operation over {count} extents, {op.loops} of them loops.", remedy=f"Use 1 to {EXTENTS_MAX} extents."
        )
    missing = EXTENTS_MAX - count
    target = op.target if isinstance(op.target, Out) else None
    control = target.control if target else None
    head = (
        kind,
        _FUNCTIONS.index(op.function),
        _NO_ROUNDING if op.rounded is None else _type(op.rounded),
        op.loops + missing if op.loops else 0,
        int(target is not None and target.advance),
        int(control is not None),
        0,
        0,
        (*(1,) * missing, *op.extents),
    )
    operands = (_operand(each, count) for each in (op.target, op.a, op.b, op.c))
    return (*head, *operands, op.setup, op.cycles, op.per_wavelet, 0, 0, 0, _control(control), 0)
