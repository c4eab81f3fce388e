"""Rules of what weights and tables hold: slots that exist, of the right size, and numbers in range."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from undiced.core.manifest import WeightSlot
from undiced.program.wafer.again import kept_elsewhere
from undiced.program.wafer.layout import PROMPT
from undiced.program.wafer.program import Run, WaferProgram
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.limits import DIMS_MAX, SIZE_MAX, TABLE_MAX, TOTAL_MAX
from undiced.program.wafer.value import Growth, Rotation, Value, Weights

_USES_MAX = 16 * TOTAL_MAX  # weights of all runs


def sources(program: WaferProgram) -> Faults:
    """Of every run of a stream: the slots that its weights name with the run's layer."""
    slots = {slot.name: slot for slot in program.slots}
    done: set[tuple[int, int, int]] = set()
    uses = 0
    for region in program.regions:
        for run in region.runs:
            key = run.stream, run.layer, run.start
            if key in done:
                continue
            done.add(key)
            stream = program.streams[run.stream]
            uses += len(stream.values)
            if uses > _USES_MAX:
                yield Fault(f"runs take more than {_USES_MAX} weights")
                return
            for value in stream.values:
                for what in _value(value, run, slots):
                    where = f" of layer {run.layer}" if run.layer >= 0 else ""
                    yield Fault(f"stream {stream.name!r}: {value.name}{where} {what}")


def again(program: WaferProgram) -> Iterator[Fault]:
    """Weights that a run reads again are kept by another on the same cores."""
    for site, keeper in kept_elsewhere(program):
        if keeper is None:
            region = program.regions[site.region]
            stream = program.streams[region.runs[site.run].stream].name
            yield Fault(
                f"stream {stream!r} reads {site.name} again, which nobody keeps there in region {region.name!r}"
            )


def _value(value: Value, run: Run, slots: dict[str, WeightSlot]) -> Iterator[str]:
    if value.weights is not None:
        yield from _weights(value, value.weights, run, slots)
    if isinstance(value.table, Growth) and not 1 <= value.table.floor <= SIZE_MAX:
        yield f"grows every {value.table.floor} positions"
    if value.table is not None and prod(dim.size for dim in value.dims) > TABLE_MAX:
        yield f"is a table of more than {TABLE_MAX} numbers"
    elif isinstance(value.table, Growth) and len(value.dims) != 1:
        yield f"has {len(value.dims)} dimensions; factors by position have one"
    elif isinstance(value.table, Rotation):
        yield from _rotation(value, value.table, slots)


def _rotation(value: Value, table: Rotation, slots: dict[str, WeightSlot]) -> Iterator[str]:
    sizes = [dim.size for dim in value.dims]
    if value.dims[-1:] and value.dims[-1].name == PROMPT:
        sizes = sizes[-1:] + sizes[:-1]
    if len(sizes) < 3 or sizes[-2:] != [len(table.frequencies), 2]:
        yield f"has dimensions of {sizes} for the frequencies of {len(table.frequencies)} pairs"
    if not 0 <= table.turned <= len(table.frequencies):
        yield f"turns {table.turned} of {len(table.frequencies)} pairs"
    if table.divisors and table.divisors not in slots:
        yield f"divides frequencies by {table.divisors!r}, which is no slot"
    elif table.divisors and slots[table.divisors].rows * slots[table.divisors].columns != table.turned:
        yield f"divides {table.turned} frequencies by a slot of another size"


def _weights(value: Value, held: Weights, run: Run, slots: dict[str, WeightSlot]) -> Iterator[str]:
    names, sizes = [dim.name for dim in held.order], {dim.name: dim.size for dim in held.order}
    if len(names) > DIMS_MAX or len(sizes) < len(names) or any(not 1 <= n <= SIZE_MAX for n in sizes.values()):
        yield f"orders its slot as {names}, {list(sizes.values())}"
        return
    if sorted(dim.name for dim in value.dims) != sorted(names):
        yield f"has dimensions {[dim.name for dim in value.dims]}; it orders its slot as {names}"
        return
    for dim in value.dims:
        if dim.size != sizes[dim.name] and not (dim.name == held.shared and dim.size <= sizes[dim.name]):
            yield f"has {dim.size} of {dim.name}, and its slot {sizes[dim.name]}"
    if not all(1 <= each <= SIZE_MAX for each in held.step):
        yield f"takes {held.step[1]} elements for {held.step[0]} of a run"
    elif held.shared and (held.shared not in sizes or run.start // held.step[0] * held.step[1] >= sizes[held.shared]):
        yield f"takes {held.shared!r} from {run.start} on, of {sizes.get(held.shared, 0)}"
    yield from _columns(held, sizes)
    if not held.role:
        return
    role = f"layers.{run.layer + held.later}.{held.role}" if held.layer else held.role
    if role not in slots:
        yield f"comes from {role!r}, which is no slot"
        return
    picked = prod(sizes[name] for name in held.picked) if held.columns else 1
    wanted = prod(sizes.values()) // picked * ((held.among or len(held.columns)) if held.columns else 1)
    has = slots[role].rows * slots[role].columns
    if wanted != has:
        yield f"takes {wanted} numbers from {role}, which has {has}"


def _columns(held: Weights, sizes: dict[str, int]) -> Iterator[str]:
    """Columns of a head that exist, as many as the neighboring dimensions that hold them."""
    if not held.columns:
        return
    names, among = list(sizes), held.among or len(held.columns)
    at = names.index(held.picked[0]) if held.picked and held.picked[0] in sizes else -1
    if at < 0 or tuple(names[at : at + len(held.picked)]) != held.picked:
        yield f"picks columns of {list(held.picked)}, which are no neighbors among {names}"
    elif prod(sizes[name] for name in held.picked) != len(held.columns):
        yield f"picks {len(held.columns)} columns for dimensions {[sizes[name] for name in held.picked]}"
    elif not all(0 <= column < among for column in held.columns):
        yield f"picks columns beyond the {among} of a head"
