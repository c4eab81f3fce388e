"""The passes that make a wafer program, in order. Read `PASSES` and you know the compiler.

A pass takes a draft of one shape and returns it with what it decided, or None if the shape can't hold the model. After
each pass its `holds` must be true: what later passes rely on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import takewhile

from msgspec.structs import replace as with_fields

from undiced.compiler.wafer.addresses import followed_by, kept_by
from undiced.compiler.wafer.blocks import blocks_of, contents, prices, streamed, taken
from undiced.compiler.wafer.colors import affordable, crowded, demand, routed, short, used_by
from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.lower.lowering import KEPT, PARTS
from undiced.compiler.wafer.lower.segments import BACK, INSIDE, Streams, grain_for
from undiced.compiler.wafer.memory import (
    code_of,
    memory_map,
    region_bytes,
    registers_of,
    room_of,
    tables_bytes,
)
from undiced.compiler.wafer.mixing import mixes, widened
from undiced.compiler.wafer.partition import cheapest_cuts, fastest_fill, fill, partition
from undiced.compiler.wafer.task import Task
from undiced.compiler.wafer.timing import interval, latency, stream_cycles, wafers_of
from undiced.compiler.wafer.trees import chosen_trees
from undiced.core.errors import CompileError
from undiced.machine.arithmetic import local_cost
from undiced.machine.fabric import fabric
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.instruction import MOVERS, Instruction
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.program import Region, Run, Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import DType, Kind, local_shape
from undiced.program.wafer.workload import work

_BALANCE_WORTH = 1.002  # latency that a shorter interval may cost


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: its name everywhere, what it does, and what holds afterwards.

    Attributes:
        by_grid: whether it does the same for all shapes of a grid, on however many wafers.
    """

    name: str
    run: Callable[[Draft], Draft | None]
    holds: Callable[[Draft], bool]
    by_grid: bool = False


def lower(draft: Draft) -> Draft:
    """The graph's segments as streams for the shape's grid, and what moves between regions."""
    task, grid, choices = draft.task, draft.shape.grid, draft.task.options.choices
    bounds = task.options.bounds
    rows, bands = draft.slices or (choices.row_slices, choices.band_slices)
    choices = replace(choices, row_slices=rows, band_slices=bands, once=task.tied)
    store = int(task.wafer.core.cache_bytes.value)
    written = Streams(task.graph, grid, choices, bounds.context, task.options.chunk, task.options.ahead, store)
    whole, narrow = task.options.chunk > 1, choices.weights in FIELDS
    kinds: dict[str, tuple[int, dict[int, int]]] = {}  # of equal segments the grain, and the stream of each part
    for segment in task.segments:
        if segment.key not in kinds:
            grain = grain_for(segment, task.graph.config, grid, whole=whole, narrow=narrow)
            each = {grain, PARTS} if draft.coarse else range(grain, PARTS + 1, grain)
            kinds[segment.key] = grain, {eighths: written.lowered(segment, eighths).stream for eighths in each}
    grains = tuple(kinds[segment.key][0] for segment in task.segments)
    parts = tuple(
        ((number, eighths), stream)
        for number, segment in enumerate(task.segments)
        for eighths, stream in kinds[segment.key][1].items()
    )
    splits = not whole and any(segment.splits for segment in task.segments)
    if splits:
        written.keeping()
    list(written.rotating())
    for distance, off in ((grid.columns, False), (grid.rows + grid.columns, False), (grid.rows + grid.columns, True)):
        written.entering(distance, off)
        if splits:
            written.entering(distance, off, cut=True)
    far = sum(task.wafer.mesh.size)
    if task.tied:
        written.entering(far, True, back=True)
    else:
        written.returning(far, True)
    wide = _wide(task, written) if mixes(task.options) and not (draft.coarse and task.tight) else ()
    streams = tuple(_multiplying(draft, stream, written.trees.made) for stream in written.made)
    plain = replace(draft, wide=wide, mixed=frozenset(), widening=(), reserved=0)
    return replace(plain, written=written, parts=parts, grains=grains, streams=streams)


def _wide(task: Task, written: Streams) -> tuple[tuple[int, int], ...]:
    """Streams of whole blocks of layers with 16-bit weights, for where memory is left of narrow ones."""
    other = replace(written, choices=replace(written.choices, weights=DType.F16), known={})
    layers = [(n, segment) for n, segment in enumerate(task.segments) if segment.layer >= 0]
    kinds = {segment.key: segment for _, segment in layers}
    streams = {key: other.lowered(segment).stream for key, segment in kinds.items()}
    return tuple((n, streams[segment.key]) for n, segment in layers)


def _multiplying(draft: Draft, stream: Stream, trees: tuple[Tree, ...]) -> Stream:
    """The stream with the faster way of each product with a chunk: all tokens by a weight, or each by itself."""
    options, core = draft.task.options, draft.task.wafer.core
    if options.chunk == 1 or stream.last:
        return stream
    shares = Shares({value.name: value for value in stream.values}, trees, options.steps[-1])

    def faster(i: Instruction) -> Instruction:
        if not isinstance(i, isa.Product) or i.expert:
            return i
        ways = (i, with_fields(i, singly=True))
        return min(ways, key=lambda way: local_cost(core, work(way, shares)).cycles)

    return with_fields(stream, instructions=tuple(map(faster, stream.instructions)))


def color(draft: Draft) -> Draft:
    """Colors and queues for every mover. Where they don't reach, trees share payloads among fewer.

    Raises:
        NoRoutes: they don't reach for one tree on each kind of line.
    """
    assert draft.written is not None
    have, used = fabric(draft.task.wafer), used_by(draft.streams, draft.written.trees.made)
    channels = demand(used, _runs(draft))
    if short(channels, have) or crowded(channels, have):
        choices = draft.written.choices
        most = choices.row_slices, choices.band_slices
        first, *others = affordable(channels, most, have, (None, 0) if draft.coarse else (None, 0, 1))
        draft = replace(lower(replace(draft, slices=first)), others=tuple(others))
        assert draft.written is not None
        used = used_by(draft.streams, draft.written.trees.made)
    return replace(draft, streams=routed(draft.streams, used, _runs(draft), have))


def fit(draft: Draft) -> Draft | None:
    """What lasts fits the regions of as many wafers as may be used; on one alone no token leaves it to return."""
    regions = draft.wafers * draft.shape.tiling(draft.task.wafer).count
    if _needed(draft) > regions * draft.room:
        return None
    return draft if draft.wafers > 1 else replace(draft, streams=tuple(map(_staying, draft.streams)))


def _staying(stream: Stream) -> Stream:
    if stream.name not in (BACK, "return"):
        return stream
    out = (
        with_fields(i, off_wafer=False) if isinstance(i, isa.Transfer | isa.Return) else i for i in stream.instructions
    )
    return with_fields(stream, instructions=tuple(out))


def route(draft: Draft) -> Draft:
    """A tree for each kind of line, and what each stream then takes; the fastest choice of those that colors leave."""
    others = (sized(replace(draft, slices=each)) for each in draft.others)
    made = [_joined(each) for each in (draft, *others) if each is not None]
    best = min(made, key=_per_token)
    return replace(best, cycles=tuple(stream_cycles(best, n) for n in range(len(best.streams))), others=())


def _joined(draft: Draft) -> Draft:
    """With trees for the lines of all streams."""
    assert draft.written is not None
    trees = chosen_trees(
        draft.streams, draft.written.trees.made, _runs(draft), draft.task.wafer, draft.task.options.steps
    )
    return replace(draft, trees=trees)


def _per_token(draft: Draft) -> float:
    """Cycles of all streams, as often as a token runs them."""
    return sum(stream_cycles(draft, n) * often if often else 0.0 for n, often in enumerate(_runs(draft)))


def _runs(draft: Draft) -> tuple[float, ...]:
    """How often a token runs each stream, parts not counted."""
    counts = [0.0] * len(draft.streams)
    for (_, eighths), stream in draft.parts:
        if eighths == PARTS:
            counts[stream] += 1.0
    return tuple(counts)


def memory(draft: Draft) -> Draft | None:
    """What lasts, what each stream needs meanwhile, and the room that code and the largest of them leave."""
    assert draft.written is not None
    trees = draft.written.trees.made
    (code, ends), layout = code_of(draft), memory_map(draft, trees)
    room = room_of(draft, trees, code)
    kept = tuple(layout.lasting(stream, ends.get(n, 0)) for n, stream in enumerate(draft.streams))
    return replace(draft, room=room, lasting=kept) if room > 0 and _within_strides(draft) else None


def _within_strides(draft: Draft) -> bool:
    """Whether a descriptor's stride reaches from one row of a core's cached positions to the next."""
    caches = (value for stream in draft.streams for value in stream.values if value.kind is Kind.CACHE)
    shares = (zip(value.dims, local_shape(value), strict=True) for value in caches)
    rows = (size for share in shares for dim, size in share if dim.name == POSITION)
    return max(rows, default=0) <= draft.task.wafer.core.stride_max.value


def _needed(draft: Draft) -> int:
    """Bytes of all that lasts, were one region to hold it; tables are there in each."""
    sequences = draft.task.options.bounds.batch
    parts = dict(draft.parts)
    whole = (draft.lasting[parts[n, PARTS]].bytes(sequences) for n in range(len(draft.task.segments)))
    return sum(whole) + draft.wafers * draft.shape.tiling(draft.task.wafer).count * tables_bytes(draft)


def cut(draft: Draft) -> Draft | None:
    """Contiguous blocks over regions, within memory; where cuts cost least, or evenly if that costs next to nothing."""
    blocks = blocks_of(draft)
    draft = replace(draft, blocks=blocks)
    regions = draft.wafers * draft.shape.tiling(draft.task.wafer).count
    interval = draft.task.options.objective == "interval"
    room = draft.room - tables_bytes(draft)
    ends = fastest_fill(blocks, room, regions) if interval else fill(blocks, room)
    if ends is None or len(ends) > regions:
        return None
    draft = replace(draft, ends=ends)
    return draft if draft.coarse else _balanced(draft, room, regions)


def _balanced(draft: Draft, room: int, regions: int) -> Draft:
    if draft.task.options.objective == "interval":
        ends = partition(draft.blocks, room, regions)
        return draft if ends is None else min(draft, replace(draft, ends=ends), key=lambda d: (interval(d), latency(d)))
    cheap = cheapest_cuts(draft.blocks, room, len(draft.ends), prices(draft))
    if cheap is not None:
        draft = min(draft, replace(draft, ends=cheap), key=latency)
    ends = partition(draft.blocks, room, len(draft.ends))
    if ends is None:
        return draft
    even = replace(draft, ends=ends)
    return even if latency(even) <= latency(draft) * _BALANCE_WORTH and wafers_of(even) <= wafers_of(draft) else draft


def place(draft: Draft) -> Draft:
    """Regions in a serpentine, consecutive ones touching; each with its runs and their bases."""
    assert draft.written is not None
    tiling, names = draft.shape.tiling(draft.task.wafer), {s.name: i for i, s in enumerate(draft.streams)}
    parts, sequences = dict(draft.parts), draft.task.options.bounds.batch
    top = int(draft.task.wafer.core.sram_bytes.value) - draft.room
    unit = -(-draft.task.graph.config.ffn // PARTS)
    done: Counter[int] = Counter()  # eighths of each segment that regions before hold
    regions = []
    for number, blocks in enumerate(contents(draft.blocks, draft.ends)):
        inside = INSIDE if 0 < done[int(blocks[0].kind)] < PARTS else ""
        runs = [Run(names[tiling.arrival(number) + inside])] if number else []
        runs += [Run(names["tables"])] if "tables" in names else []
        for (segment, eighths), variant in streamed(draft, taken(draft, blocks)):
            if eighths < PARTS and not done[segment]:
                runs.append(Run(names[KEPT]))
            stream = parts[segment, eighths] if variant is None else variant
            runs.append(Run(stream, draft.task.segments[segment].layer, done[segment] * unit))
            done[segment] += eighths
        if number == len(draft.ends) - 1 and "return" in names:
            runs.append(Run(names["return"]))
        base, placed = top, []
        for run in runs:
            placed.append(with_fields(run, base=base))
            base += draft.lasting[run.stream].bytes(sequences)
        wafer, rect = tiling.place(number)
        regions.append(Region(f"{number}", wafer, rect, tuple(placed), draft.shape.turned))
    return replace(draft, regions=tuple(_closed(draft, regions, names) if draft.task.tied else regions))


def _closed(draft: Draft, regions: list[Region], names: dict[str, int]) -> list[Region]:
    """Embedding and head with one matrix: the first region runs the head once the hidden state is back."""
    first, *others = regions
    *runs, head = first.runs
    embed = dict(draft.parts)[0, PARTS]
    opening = tuple(with_fields(run, base=head.base) if run.stream == embed else run for run in runs)
    if not others:
        return [with_fields(first, runs=(*opening, head))]
    back = Run(names[BACK], base=head.base)
    return [
        with_fields(first, runs=opening),
        *others,
        with_fields(first, name=f"{first.name}, again", runs=(back, head)),
    ]


def address(draft: Draft) -> Draft:
    """Every value's place in the core's memory, vectors that are read together in different banks."""
    streams = memory_map(draft, draft.trees).addressed(draft.streams, code_of(draft)[0] + registers_of(draft))
    if draft.task.tied:
        first, last = (streams[dict(draft.parts)[each, PARTS]] for each in (0, len(draft.task.segments) - 1))
        streams = tuple(kept_by(last, each) if each is first else each for each in streams)
    return replace(draft, streams=_reaching(draft, streams))


def _reaching(draft: Draft, streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
    """Streams that widen for the run that follows, with that one's weights where it has them: behind what they keep."""
    made, sequences = list(streams), draft.task.options.bounds.batch
    for beside, stream in draft.widening:
        if beside.following >= 0:
            behind = draft.lasting[stream].bytes(sequences)
            made[stream] = followed_by(streams[beside.following], made[stream], behind)
    return tuple(made)


PASSES: tuple[Pass, ...] = (
    Pass("lower", lower, lambda d: bool(d.streams), by_grid=True),
    Pass(
        "color",
        color,
        lambda d: all(i.route for s in d.streams for i in s.instructions if isinstance(i, MOVERS)),
        by_grid=True,
    ),
    Pass("memory", memory, lambda d: d.room > 0, by_grid=True),
    Pass("fit", fit, lambda d: bool(d.lasting)),
    Pass("route", route, lambda d: all(tree.complete for tree in d.trees)),
    Pass("partition", cut, lambda d: d.ends[-1] == len(d.blocks)),
    Pass("widen", widened, lambda d: d.room >= max(region_bytes(d))),
    Pass("place", place, lambda d: len({(each.wafer, each.rect) for each in d.regions}) == len(d.ends)),
    Pass("address", address, lambda d: all(v.address >= 0 for s in d.streams for v in s.values if v.view is None)),
)
_SIZED = PASSES[: [each.name for each in PASSES].index("fit") + 1]


def run_passes(draft: Draft, passes: tuple[Pass, ...] = PASSES) -> Draft | None:
    """A draft through passes, each checked; None if the shape can't hold the model.

    The first of them, as far as they do the same for all shapes of a grid, run once for all. `key` is what they read of
    a draft.
    """
    shared = tuple(takewhile(lambda each: each.by_grid, passes))
    key = tuple(each.name for each in shared), draft.shape.grid, draft.coarse, draft.slices
    known = draft.task.known_drafts
    if key not in known:
        known[key] = _run(draft, shared)
    laid = known[key]
    if laid is None:
        return None
    own = replace(laid, shape=draft.shape, wafers=draft.wafers, blocks=draft.blocks, ends=draft.ends)
    return _run(own, passes[len(shared) :])


def _run(draft: Draft, passes: Iterable[Pass]) -> Draft | None:
    for each in passes:
        made = each.run(draft)
        if made is None:
            return None
        if not each.holds(made):
            raise CompileError(f"What pass {each.name} must leave does not hold.", remedy="This is a bug: report it.")
        draft = made
    return draft


def sized(draft: Draft) -> Draft | None:
    """The passes up to `fit`: what a draft keeps, without any time; None if the shape can't hold the model.

    Raises:
        NoRoutes: colors or queues run out.
    """
    return run_passes(draft, _SIZED)
