"""Why a model does not fit, and what would: more wafers, a shorter context, fewer sequences, narrower weights.

Every offer holds the memory of some shape that was tried; time is not asked. A shape that was not tried may take fewer
wafers, so their number is one that is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from undiced.compiler.wafer.blocks import blocks_of
from undiced.compiler.wafer.colors import NoRoutes
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.memory import tables_bytes
from undiced.compiler.wafer.partition import fill
from undiced.compiler.wafer.passes import sized
from undiced.compiler.wafer.shapes import Shape, shapes
from undiced.compiler.wafer.task import CONTEXT_MAX, WAFERS_MAX, Task
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.program import Bounds
from undiced.program.wafer.value import DType

_SHAPES = 6  # shapes that offers are looked for on
_NARROWER: dict[DType, tuple[DType, ...]] = {
    DType.F16: (DType.I8, DType.I4),
    DType.I8: (DType.I4,),
    DType.F8: (DType.I8, DType.I4),
}
_FLAGS = {DType.I8: "int8", DType.I4: "int4"}


def refusal(task: Task, dense: list[Shape]) -> CompileError:
    """The error of a model that does not fit the wafers that it was given; `dense` shapes are likeliest to hold it."""
    options, config = task.options, task.graph.config
    tried = list(dict.fromkeys((*dense, *_spread(list(shapes(config, task.wafer, options.region))))))
    offers = []
    wafers = fewest_wafers(task, tried)
    if wafers is not None and options.wafers is not None:
        offers.append(f"{option('wafers', wafers)} (perhaps fewer)")
    given = options.wafers or WAFERS_MAX
    context = _most(lambda n: _with(task, Bounds(options.bounds.batch, n)), tried, options.bounds.context, given)
    if context:
        offers.append(option("context", context))
    if options.bounds.batch > 1:
        batch = _most(lambda n: _with(task, Bounds(n, options.bounds.context)), tried, options.bounds.batch, given)
        offers += [option("batch", batch)] if batch else []
    for weights in _NARROWER.get(options.choices.weights, ()):
        narrow = replace(task, options=replace(options, choices=replace(options.choices, weights=weights)))
        if any(_holds(narrow, shape, given) for shape in tried):
            offers.append(option("weights", _FLAGS[weights]))
            break
    where = f"{options.wafers} x {task.wafer.name}" if options.wafers else f"any number of {task.wafer.name}"
    remedy = f"What fits: {', or '.join(offers)}." if offers else "Use a machine with more memory."
    what = f"{config.name} at batch {options.bounds.batch} and context {options.bounds.context}"
    what = f"{what} does not fit {where}."
    if options.chunk > 1:
        what += f" Beside a chunk of {options.chunk} tokens there is room for {held(context, options.bounds.context)}."
    return CompileError(what, remedy=remedy)


def held(room: int, wanted: int) -> str:
    """Positions that there is room for, beside those that were asked for."""
    return f"the keys and values of {room or 'no'} positions, not of {wanted}"


def fewest_wafers(task: Task, tried: list[Shape]) -> int | None:
    """The fewest wafers on which some of the shapes that were tried holds the model."""
    found = [count for shape in tried if (count := wafers_needed(task, shape))]
    return min(found, default=None)


def _spread(all_shapes: list[Shape]) -> list[Shape]:
    """A few shapes from small regions to large ones."""
    ordered = sorted(all_shapes, key=lambda shape: shape.grid.rows * shape.grid.columns)
    step = max(1, len(ordered) // _SHAPES)
    return ordered[step // 2 :: step]


def _with(task: Task, bounds: Bounds) -> Task:
    return replace(task, options=replace(task.options, bounds=bounds))


def wafers_needed(task: Task, shape: Shape) -> int:
    """Wafers that a shape's regions take, filled in order; 0 if some block is larger than a region."""
    try:
        draft = sized(Draft(task, shape, WAFERS_MAX, coarse=True))
    except NoRoutes:
        return 0
    if draft is None:
        return 0
    ends = fill(blocks_of(draft), draft.room - tables_bytes(draft))
    return 0 if ends is None else -(-len(ends) // shape.tiling(task.wafer).count)


def _holds(task: Task, shape: Shape, wafers: int) -> bool:
    return 0 < wafers_needed(task, shape) <= wafers


def longest_context(task: Task, dense: list[Shape], wafers: int, known: int) -> int:
    """The most positions for which some of the shapes holds the model; at least `known`, for which one does."""
    batch = task.options.bounds.batch
    return _most(lambda n: _with(task, Bounds(batch, n)), dense, CONTEXT_MAX + 1, wafers, known)


def _most(change: Callable[[int], Task], tried: list[Shape], below: int, wafers: int, best: int = 0) -> int:
    """The largest size under `below` for which some shape holds the model; `best` if none does at more."""
    for shape in tried:
        if best + 1 >= below or not _holds(change(best + 1), shape, wafers):
            continue
        low, step = best + 1, max(1, best // 2)
        while low + step < below and _holds(change(low + step), shape, wafers):
            low, step = low + step, 2 * step
        high = min(low + step, below) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if _holds(change(middle), shape, wafers) else (low, middle - 1)
        best = low
    return best
