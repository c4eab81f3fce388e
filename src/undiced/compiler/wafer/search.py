"""Compiles a graph for wafers: tries region shapes through the passes, most promising first, and keeps the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import groupby
from math import cbrt, ceil, sqrt

from msgspec import Struct

from undiced.compiler.wafer.colors import NoRoutes
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.facts import facts_of
from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.lower.lowering import PARTS
from undiced.compiler.wafer.lower.segments import Segment, grain_for
from undiced.compiler.wafer.memory import code_of
from undiced.compiler.wafer.mixing import mixes, widens
from undiced.compiler.wafer.offers import longest_context, refusal, wafers_needed
from undiced.compiler.wafer.passes import PASSES, lower, run_passes
from undiced.compiler.wafer.place import check_region
from undiced.compiler.wafer.shapes import Shape, shapes
from undiced.compiler.wafer.task import WAFERS_MAX, Options, Task
from undiced.compiler.wafer.timing import rank, wafers_of
from undiced.machine.fabric import hardware
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import BITS, DType
from undiced.program.wafer.verify import verify
from undiced.program.wafer.work import BYTES

_WRITTEN = 24  # shapes that go through the passes, the most promising by estimate
_NARROW = 16  # the same of narrow weights on the fewest wafers: each takes longer
_OTHERS = 6  # of those, how many take more wafers than the fewest, where weights are narrow
_NEAR = 1.03  # times what the most promising takes, for drafts of narrow weights to be cut finely
_FEW = 4  # of those at most
_FINISHED = 8  # of those, how many are cut finely before one is taken
_MORE = 8  # numbers of wafers that are tried, the fewest first
_ROOMY = 40  # shapes with the most cores, where none of those holds the model
_UNROUTED = 4  # shapes from which it is told that colors are what lacks
_DENSE = 16  # shapes that waste least memory, where none of the promising ones holds the model
_WITHIN = 160  # shapes of which those are taken that hold the model on so many wafers
_BESIDE = 32  # promising shapes beside those that waste least memory, for chunks
_CHUNKED = 12  # shapes for chunks that go through the passes
_TRIED = 80  # shapes at most, those included that turn out not to hold the model
Told = Callable[[float, str], None]  # the share that is done, and of what
Needed = Callable[[Shape], int]  # wafers that a shape takes, 0 if it can't hold the model
_RANKED = PASSES[: [p.name for p in PASSES].index("place")]


def compile_graph(
    graph: Graph, wafer: Wafer, options: Options | None = None, progress: Told | None = None
) -> WaferProgram:
    """The program of our mapping; `progress` hears how far the search is, a later attempt from its beginning.

    Raises:
        CompileError: an operator without a lowering, by name; or it fits no number of wafers, or not as many as asked.
    """
    options = options or Options()
    if options.region is not None:
        check_region(wafer, *options.region)
    task = Task.of(graph, wafer, options)
    sized = list(_sized(task))
    found = _either(task, sized, progress or _silent)
    if found is None:
        raise refusal(task, [each.shape for each in _dense(task, sized)])
    program = program_of(found)
    verify(program, hardware(wafer))
    return program


def longest_on(graph: Graph, wafer: Wafer, options: Options, wafers: int, known: int) -> int:
    """The longest context for which `wafers` hold the model in some placement; at least `known`, for which one does."""
    task = Task.of(graph, wafer, options)
    return longest_context(task, dense(task), wafers, known)


class _Sized(Struct, frozen=True, gc=False):
    """A shape with the fewest wafers that it may need, by bytes alone, and a rough latency that orders shapes."""

    shape: Shape
    wafers: int
    estimate: float


def _sized(task: Task) -> Iterable[_Sized]:
    config = task.graph.config
    tried = list(shapes(config, task.wafer, task.options.region))
    sram = task.wafer.core.sram_bytes.value - (_code(task, tried[0]) if tried else 0)
    bits = BITS[task.options.choices.weights] / 8
    narrow = task.options.choices.weights in FIELDS
    stored, largest = task.graph.parameters * bits, _segment_sizes(task)
    whole = task.options.chunk > 1
    for grid, turns in groupby(tried if sram > 0 else (), key=lambda shape: shape.grid):
        room = sram - _alive(task, grid)
        if room <= 0:
            continue
        held = room * grid.rows * grid.columns
        filling = _filling(task, grid)
        padded = bits * filling * grid.rows * grid.columns
        if any(
            size * padded > held
            and size * grain_for(segment, config, grid, whole=whole, narrow=narrow) / PARTS * padded > held
            for segment, size in largest
        ):
            continue  # too small for a piece that is not cut
        regions = ceil(stored * filling / room)
        estimate = _estimate(task, grid) + (grid.rows + grid.columns) * regions / config.layers
        for shape in turns:
            yield _Sized(shape, ceil(regions / shape.tiling(task.wafer).count), estimate)


def _segment_sizes(task: Task) -> list[tuple[Segment, int]]:
    """The segments of different streams, and the parameters of each."""
    sizes = {slot.name: slot.rows * slot.columns for slot in task.graph.slots}
    kinds = {segment.key: segment for segment in task.segments}.values()
    return [(segment, sum(sizes[name] for node in segment.nodes for name in node.weights)) for segment in kinds]


def _code(task: Task, shape: Shape) -> int:
    """Code and system of a core: nearly the same on every shape."""
    draft = lower(Draft(task, shape, 1, coarse=True))
    return code_of(draft)[0]


def _alive(task: Task, grid: Grid) -> float:
    """Bytes of a core that a chunk's tokens take at once, roughly: the hidden state, and beside it the feed-forward
    block's sums or what their norm works on."""
    config, choices, chunk = task.graph.config, task.options.choices, task.options.chunk
    if chunk == 1:
        return 0.0
    hidden = BYTES[DType.F32] * ceil(config.dim / grid.rows)
    width = config.moe.top_k * config.moe.ffn + config.moe.shared_ffn if config.moe else config.ffn
    sums = 2 * ceil(width / grid.columns) * (BYTES[choices.sums] + BYTES[DType.F32] / choices.row_slices)
    return chunk * (hidden + max(2 * hidden, sums))


def _filling(task: Task, grid: Grid) -> float:
    """What part of the whole model a core would hold, its shares rounded up: too little rather than too much."""
    config, moe = task.graph.config, task.graph.config.moe
    rounded_up = ceil(config.dim / grid.rows) * grid.rows / config.dim
    width = moe.ffn if moe else config.ffn
    features = sqrt(ceil(width / grid.columns) * grid.columns / width)
    if moe and grid.columns > width:  # a column of an expert or none
        experts = 3 * len(moe.layers) * moe.experts * config.dim * width / task.graph.parameters
        held = ceil(moe.experts / grid.groups) * grid.columns / (moe.experts * width)
        features = 1 + experts * (held - 1)
    return rounded_up * features / (grid.rows * grid.columns)


def _estimate(task: Task, grid: Grid) -> float:
    """Distance, payload and arithmetic of a layer, roughly."""
    config, link = task.graph.config, task.wafer.link
    d, f, q = config.dim / grid.rows, config.ffn / grid.columns, config.heads * config.head_dim / grid.columns
    if config.moe:
        f = config.moe.top_k * max(1.0, config.moe.ffn / grid.columns) + config.moe.shared_ffn / grid.columns
    distance = 4 * grid.rows + 2 * grid.columns
    payload = 4 * (2 * q + 2 * d + 2 * f) / link.wavelets_per_cycle.value
    steps = 2 * (5 * cbrt(grid.rows) + 2 * cbrt(grid.columns)) * link.step_software_cycles.value
    return distance + payload + steps + d * (2 * q + 3 * f) / task.wafer.core.lanes_32bit.value


def _either(task: Task, sized: list[_Sized], told: Told) -> Draft | None:
    """The better of two searches: with every expert over all columns, and with experts on columns of their own."""
    own = [each for each in sized if each.shape.grid.groups > 1]
    sliced = [each for each in sized if each.shape.grid.groups == 1]
    found: list[Draft] = []
    lacking: list[NoRoutes] = []
    for kind in (sliced, own) if own else (sliced,):
        try:
            best = _search(task, kind, told)
        except NoRoutes as error:
            lacking.append(error)
        else:
            found += [best] if best is not None else []
    if lacking and not found:
        raise lacking[0]
    free = task.options.wafers is None
    return min(found, key=lambda draft: (wafers_of(draft) if free else 0, *rank(draft)), default=None)


def dense(task: Task) -> list[Shape]:
    """The shapes that waste least memory."""
    return [each.shape for each in _dense(task, list(_sized(task)))]


def _dense(task: Task, sized: list[_Sized]) -> list[_Sized]:
    """The shapes that waste least memory, however slow: what holds a model where little else does."""
    sram = task.wafer.core.sram_bytes.value

    def wasted(each: _Sized) -> float:
        grid = each.shape.grid
        return _filling(task, grid) / each.shape.tiling(task.wafer).count / (sram - _alive(task, grid))

    return sorted(sized, key=wasted)[:_DENSE]


def _silent(share: float, what: str) -> None:
    """Nobody wants to know."""


def _search(task: Task, sized: list[_Sized], told: Told) -> Draft | None:
    """The best draft on exactly the wafers asked for, or on the fewest that hold the model."""

    @cache
    def needed(shape: Shape) -> int:
        return wafers_needed(task, shape)

    asked = task.options.wafers
    if task.options.chunk > 1:
        return _chunked(task, sized, needed, told)
    if asked is not None:
        within = [each for each in sized if each.wafers <= asked]
        found = _on(task, sized, asked, needed, told) or _best(task, within[:_UNROUTED], asked, told)
        return _also_on_fewer(task, sized, found, needed, told) if mixes(task.options) else found
    least = min((s.wafers for s in sized), default=1)
    near = least + least // 4 + 1
    tried = sorted(sized, key=lambda s: (s.wafers > near, s.estimate))[:_TRIED]
    some = False
    for pool in (tried, _roomy(sized)):
        counts = _counts(pool, needed, told)
        some = some or bool(counts)
        for wafers in counts[:_MORE]:
            found = _on(task, sized, wafers, needed, told)
            if found is not None:
                return found
    return None if some else _best(task, tried[:_UNROUTED], WAFERS_MAX, told)


def _also_on_fewer(task: Task, sized: list[_Sized], found: Draft | None, needed: Needed, told: Told) -> Draft | None:
    """The faster of what was found on the wafers asked for and the best draft on the fewest, which may be as fast."""
    asked = task.options.wafers or WAFERS_MAX
    near = sorted((each for each in sized if each.wafers <= asked), key=lambda s: s.estimate)[:_WITHIN]
    least = min((count for each in near if (count := needed(each.shape))), default=asked)
    fewest = _on(task, sized, least, needed, told) if least < asked else None
    return min((each for each in (found, fewest) if each is not None), key=rank, default=None)


def _chunked(task: Task, sized: list[_Sized], needed: Needed, told: Told) -> Draft | None:
    """The best draft for chunks, which take so much memory that few shapes matter: those that waste least of it, and
    the most promising others.
    """
    pool = list(dict.fromkeys((*_dense(task, sized), *sorted(sized, key=lambda s: s.estimate)[:_BESIDE])))
    counts, asked = _counts(pool, needed, told), task.options.wafers
    for wafers in counts[:_MORE] if asked is None else [asked]:
        within = [each for each in pool if 0 < needed(each.shape) <= wafers]
        within.sort(key=lambda s: s.shape.grid.rows * s.shape.grid.columns)  # small regions are many at work
        found = _best(task, within[:: ceil(len(within) / _CHUNKED)] if within else [], wafers, told)
        if found is not None:
            return found
    return None


def _counts(pool: list[_Sized], needed: Needed, told: Told) -> list[int]:
    """The numbers of wafers that shapes take, of those that hold the model."""
    counts = set()
    for done, each in enumerate(pool):
        told(0.3 * done / len(pool), "Counting wafers")
        counts.add(needed(each.shape))
    return sorted(counts - {0})


def _on(task: Task, sized: list[_Sized], wafers: int, needed: Needed, told: Told) -> Draft | None:
    """The best draft on so many wafers at most: the same, whether they were asked for or are the fewest."""
    filled = mixes(task.options) and task.options.wafers is not None
    within = sorted((s for s in sized if s.wafers <= wafers), key=lambda s: (s.wafers if filled else 0, s.estimate))
    for pool in (within[:_WITHIN], _roomy(sized)):
        holding: Iterable[_Sized] = (each for each in pool if 0 < needed(each.shape) <= wafers)
        if filled:
            holding = _leaving_memory(list(holding), needed)
        found = _best(task, holding, wafers, told)
        if found is not None:
            return found
    with suppress(NoRoutes):
        return _best(task, _dense(task, sized), wafers, told)
    return None


def _leaving_memory(holding: list[_Sized], needed: Needed) -> list[_Sized]:
    """Shapes that take the fewest wafers first, since memory that they leave spares cycles; then some others."""
    least = min((needed(each.shape) for each in holding), default=0)
    few = [each for each in holding if needed(each.shape) == least]
    more = [each for each in holding if needed(each.shape) > least]
    return [*few[: _WRITTEN - _OTHERS * bool(more)], *more[:_OTHERS]]


def _roomy(sized: list[_Sized]) -> list[_Sized]:
    """The shapes with the most cores."""
    return sorted(sized, key=lambda s: -s.shape.grid.rows * s.shape.grid.columns)[:_ROOMY]


def _best(task: Task, pool: Iterable[_Sized], wafers: int, told: Told) -> Draft | None:
    """The best of the first shapes of a pool that can be made.

    Raises:
        NoRoutes: if colors are what all of them lack.
    """
    drafts: list[Draft] = []
    lacking: list[NoRoutes] = []
    tried, most = 0, _NARROW if widens(task.options) and task.options.wafers is None else _WRITTEN
    for each in pool:
        tried += 1
        told(0.3 + 0.4 * len(drafts) / most, "Timing region shapes")
        try:
            draft = run_passes(Draft(task, each.shape, wafers, coarse=True), _RANKED)
        except NoRoutes as error:
            lacking.append(error)
            continue
        if draft is not None:
            drafts.append(draft)
        if len(drafts) == most:
            break
    if lacking and len(lacking) == tried:
        raise lacking[0]
    return _finest(drafts, told)


def _finest(drafts: list[Draft], told: Told) -> Draft | None:
    """The best of the most promising drafts once their cuts are fine, which may take more memory."""
    finished: list[Draft] = []
    for coarse in _promising(sorted(drafts, key=rank)):
        told(0.7 + 0.3 * len(finished) / _FINISHED, "Cutting the best finely")
        used = replace(coarse, coarse=False, wafers=wafers_of(coarse))  # from one alone no token returns to another
        whole = run_passes(used) or run_passes(replace(coarse, coarse=False))
        finished += [whole] if whole is not None else []
        if mixes(coarse.task.options) and used.wafers < coarse.wafers:
            more = run_passes(replace(coarse, coarse=False))  # with memory for wider weights
            finished += [more] if more is not None else []
        if len(finished) >= _FINISHED:
            break
    return min(finished, key=rank, default=None)


def _promising(drafts: list[Draft]) -> list[Draft]:
    """Of drafts in order those that may be the best: of narrow weights, which are ranked as they are cut in the end,
    those nearly as fast as the first."""
    if not drafts or not widens(drafts[0].task.options):
        return drafts
    return [draft for draft in drafts[:_FEW] if rank(draft)[0] <= _NEAR * rank(drafts[0])[0]]


def program_of(draft: Draft) -> WaferProgram:
    """What a draft that has been through all passes is written down as."""
    task, config = draft.task, draft.task.graph.config
    return WaferProgram(
        model=config.name,
        machine=task.wafer.name,
        graph_digest=task.graph.digest,
        machine_digest=task.wafer.digest,
        bounds=task.options.bounds,
        regions=draft.regions,
        streams=draft.streams,
        trees=draft.trees,
        slots=task.graph.slots,
        vocab=config.vocab,
        facts=facts_of(draft),
    )
