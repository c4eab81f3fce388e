"""Why a model does not fit, and what would: more wafers, a shorter context, a smaller batch, narrower weights, another
region. Every suggestion is one that compiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from undiced.compiler.wafer.dims import Dims
from undiced.compiler.wafer.memory import capacity, fits
from undiced.compiler.wafer.options import BATCH_MAX, CONTEXT_MAX, WAFERS_MAX, Options
from undiced.compiler.wafer.place import Tiling
from undiced.compiler.wafer.plan import write_plan
from undiced.compiler.wafer.scheme import Weights
from undiced.compiler.wafer.shard import Shard
from undiced.core.errors import CompileError
from undiced.machine.wafer import Wafer
from undiced.program import Bounds

Shape = tuple[Shard, bool]  # and whether it is turned
_Change = Callable[[int], tuple[Options, int]]  # a size to options and wafers
_NARROWER: dict[Weights, tuple[Weights, ...]] = {"bf16": ("int8", "int4"), "int8": ("int4",), "int4": ()}


def refusal(dims: Dims, wafer: Wafer, options: Options, shapes: Sequence[Shape]) -> CompileError:
    """The error of a model that does not fit; `shapes` are all that the search may choose of, whatever they hold."""
    if options.embedding == "wafer":
        options = replace(options, embedding="host")  # the easier of the two that were tried
    shapes = Random(0).sample(shapes, len(shapes))  # so that few are better than all before them
    fixed = _fixed(options, shapes)
    wafers = fewest_wafers(wafer, options, fixed)
    offers = [f"--wafers {wafers}"] if wafers else []
    offers += _offers(wafer, options, fixed)
    if options.region is not None:
        offers += _other_regions(dims, wafer, options, shapes)
    if not offers:
        offers += _last_resort(wafer, options, shapes)
    remedy = f"What fits: {', or '.join(offers)}." if offers else "Use a machine with more memory."
    return CompileError(f"{_what(dims, wafer, options, offers)}.", remedy=remedy)


def _what(dims: Dims, wafer: Wafer, options: Options, offers: list[str]) -> str:
    """What does not fit where."""
    more = any(offer.startswith("--wafers") for offer in offers)
    where = f"{options.wafers} x {wafer.name}" if more else f"any number of {wafer.name} (up to {WAFERS_MAX})"
    region = "" if options.region is None else f" in regions of {options.region[0]}x{options.region[1]} cores"
    what = f"{dims.name} at batch {options.bounds.batch}"
    if any(offer.startswith("--context") for offer in offers):
        return f"{what} and context {options.bounds.context} does not fit {where}{region}"
    return f"{what} does not fit {where}{region} at any context"


def fewest_wafers(wafer: Wafer, options: Options, shapes: Sequence[Shape]) -> int | None:
    """The fewest wafers that hold it; None if no number does."""
    spared = _most(wafer, shapes, lambda n: (options, WAFERS_MAX + 1 - n), WAFERS_MAX)
    return WAFERS_MAX + 1 - spared if spared else None


def _offers(wafer: Wafer, options: Options, shapes: Sequence[Shape]) -> list[str]:
    """Changes, one at a time, that make it fit the given wafers, or any number of them."""
    given, bounds, out = options.wafers or WAFERS_MAX, options.bounds, []
    context = _longest(wafer, options, shapes, given)
    if context:
        out.append(f"--context {context} (the longest on {_on(wafer, options, shapes, context)})")
    if bounds.batch > 1:
        batch = _most(wafer, shapes, lambda n: (replace(options, bounds=Bounds(n, bounds.context)), given), BATCH_MAX)
        if batch:
            out.append(f"--batch {batch}")
    for weights in _NARROWER[options.scheme.weights]:
        if _most(wafer, shapes, _always(_narrower(options, weights), given), 1):
            out.append(f"--weights {weights}")
            break
    return out


def _on(wafer: Wafer, options: Options, shapes: Sequence[Shape], context: int) -> str:
    """The given wafers, or the fewest that hold a context."""
    shorter = replace(options, bounds=Bounds(options.bounds.batch, context))
    return f"{options.wafers or fewest_wafers(wafer, shorter, shapes)} x {wafer.name}"


def _last_resort(wafer: Wafer, options: Options, shapes: Sequence[Shape]) -> list[str]:
    """Everything at once: a short context of one sequence in the narrowest weights, on any number of wafers."""
    easiest = replace(_narrower(options, "int4"), bounds=Bounds(1, 1), region=None)
    context = _longest(wafer, easiest, shapes, WAFERS_MAX)
    if not context:
        return []
    wafers = fewest_wafers(wafer, replace(easiest, bounds=Bounds(1, context)), shapes)
    return [f"--batch 1 --context {context} --weights int4 --wafers {wafers}"]


def _longest(wafer: Wafer, options: Options, shapes: Sequence[Shape], wafers: int) -> int:
    batch = options.bounds.batch
    return _most(wafer, shapes, lambda size: (replace(options, bounds=Bounds(batch, size)), wafers), CONTEXT_MAX)


def _narrower(options: Options, weights: Weights) -> Options:
    return replace(options, scheme=replace(options.scheme, weights=weights))


def _always(options: Options, wafers: int) -> _Change:
    return lambda _: (options, wafers)


def _other_regions(dims: Dims, wafer: Wafer, options: Options, shapes: Sequence[Shape]) -> list[str]:
    """The smallest square that holds it, or whatever the search finds."""
    given = options.wafers or WAFERS_MAX
    largest = min(wafer.mesh.size)
    for side in range(min(largest, max(options.region or (1,))), largest + 1):
        shape = Shard.of(dims, side, side), False
        if _holds(wafer, options, shape, given) and write_plan(wafer, options, *shape, given, draft=True) is not None:
            return [f"--region {side}x{side}"]
    return ["no --region"] if _most(wafer, shapes, _always(options, given), 1) else []


def _most(wafer: Wafer, shapes: Sequence[Shape], change: _Change, largest: int) -> int:
    """The largest size up to `largest` at which some shape holds the model; 0 if none does at 1.

    A shape that does not beat the best so far costs one look; few do when their order is random.
    """
    best = 0
    for shape in shapes:
        if best == largest or not _holds(wafer, *_with(change, best + 1, shape)):
            continue
        low, high = best + 1, largest
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if _holds(wafer, *_with(change, middle, shape)) else (low, middle - 1)
        options, wafers = change(low)
        if write_plan(wafer, options, *shape, wafers, draft=True) is not None:  # there are colors enough too
            best = low
    return best


def _with(change: _Change, size: int, shape: Shape) -> tuple[Options, Shape, int]:
    options, wafers = change(size)
    return options, shape, wafers


def _holds(wafer: Wafer, options: Options, shape: Shape, wafers: int) -> bool:
    """Whether there is memory enough in a shape's regions on `wafers` wafers."""
    shard, turned = shape
    room = capacity(wafer, shard, options)
    if room <= 0:
        return False
    width, height = (shard.rows, shard.columns) if turned else (shard.columns, shard.rows)
    return fits(shard, options, room, wafers * Tiling.of(*wafer.mesh.size, width, height).count)


def _fixed(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes that a fixed region leaves."""
    if options.region is None:
        return list(shapes)
    width, height = options.region
    return [(s, t) for s, t in shapes if (width, height) == ((s.rows, s.columns) if t else (s.columns, s.rows))]
