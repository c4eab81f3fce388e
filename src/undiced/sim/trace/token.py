"""Token: one token's way over wafers as tracks: regions as groups, and what is at work there and on their wires."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate, groupby, pairwise

from undiced.program.wafer.instruction import Return
from undiced.program.wafer.layout import Axis
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.atlas.deeds import Deed, Who
from undiced.sim.atlas.journey import Turn
from undiced.sim.trace.track import Arrow, Counter, Detail, End, Group, Slice, Track

_TOKEN, _RUNS, _WAFERS = "token", "runs", "between wafers"
_AXES = {Axis.ROWS: "rows", Axis.COLUMNS: "columns"}
_INSIDE = 4.0  # cycles before a run's end where an arrow leaves it


def about(atlas: Atlas) -> dict[str, Detail]:
    """What the file says of itself."""
    return {
        "source": "simulated, not measured",
        "model": atlas.model,
        "machine": f"{atlas.wafers} x {atlas.machine}",
        "mapping": atlas.mapping,
        "context": atlas.context,
        "clock_hz": atlas.timing.clock_hz,
        "clock": atlas.clock,
        "cycles_per_token": round(atlas.timing.token_cycles, 1),
        "fits": "yes" if atlas.unfit is None else f"no: {atlas.unfit.why}",
    }


def groups(atlas: Atlas) -> tuple[Group, ...]:
    """The token as a whole, every region that it passes, and the ways between wafers."""
    clock = f"simulated at {atlas.timing.clock_hz / 1e9:.4g} GHz, not measured"
    whole = Group(f"{atlas.model} on {atlas.wafers} x {atlas.machine}", (Track(_TOKEN, tuple(_token(atlas))),), clock)
    found: dict[int, dict[str, list[Slice]]] = {n: {_RUNS: []} for n in range(len(atlas.places))}
    crossing: dict[str, list[Slice]] = defaultdict(list)
    carried: dict[int, dict[Axis, dict[float, float]]] = defaultdict(_per_axis)
    came = here = atlas.turns[0].place if atlas.turns else 0
    for turn in atlas.turns:
        came, here = (came, here) if turn.place == here else (here, turn.place)
        tracks = found[here]
        tracks[_RUNS].append(_run(turn))
        for deed in atlas.deeds[turn.stream]:
            tracks.setdefault(_lane(deed), []).append(_slice(deed, turn))
            if deed.axis is not None:
                rate = deed.size_bytes / deed.cycles
                carried[here][deed.axis][turn.start + deed.start] += rate
                carried[here][deed.axis][turn.start + deed.end] -= rate
            if deed.off_wafer:
                crossing[_crossed(atlas, came, here, deed)].append(_slice(deed, turn))
    regions = (
        Group(
            _name(atlas, number),
            tuple(_ordered(tracks)),
            "; ".join(atlas.places[number].contents.lines),
            tuple(_counters(carried[number])),
        )
        for number, tracks in found.items()
    )
    ways = tuple(Track(way, tuple(slices)) for way, slices in crossing.items())
    return whole, *regions, *((Group(_WAFERS, ways),) if ways else ())


def _per_axis() -> dict[Axis, dict[float, float]]:
    return {axis: defaultdict(float) for axis in Axis}


def _counters(carried: dict[Axis, dict[float, float]]) -> Iterator[Counter]:
    """What links of a line carry, evenly over each sum and multicast; the changes at every cycle are added up."""
    for axis, changes in carried.items():
        times = sorted(changes)
        amounts = accumulate(changes[cycle] for cycle in times)
        points = tuple((cycle, max(amount, 0.0)) for cycle, amount in zip(times, amounts, strict=True))
        yield Counter(f"links over {_AXES[axis]}", "bytes per cycle", points)


def _name(atlas: Atlas, number: int) -> str:
    place = atlas.places[number]
    return f"region {place.name}" if len(atlas.drawn) == 1 else f"region {place.name}, wafer {place.wafer}"


def _token(atlas: Atlas) -> Iterator[Slice]:
    """The token, its stays at places, and what each is for."""
    if atlas.spans:
        yield Slice("one token", 0.0, atlas.spans[-1].end, "token")
    for place, stay in groupby(atlas.spans, key=lambda span: span.place):
        spans = list(stay)
        yield Slice(f"region {atlas.places[place].name}", spans[0].start, spans[-1].end, "region")
        for span in spans:
            yield Slice(_told(str(span.role), span.layer), span.start, span.end, str(span.role))


def _told(role: str, layer: int) -> str:
    return f"layer {layer}: {role}" if layer >= 0 else role


def _run(turn: Turn) -> Slice:
    return Slice(_told(str(turn.role), turn.layer), turn.start, turn.end, str(turn.role))


def _lane(deed: Deed) -> str:
    return str(deed.who) if deed.axis is None else f"{deed.who} over {_AXES[deed.axis]}"


def _slice(deed: Deed, turn: Turn) -> Slice:
    details: dict[str, Detail] = {"instruction": deed.kind, "value": deed.made, "layer": turn.layer}
    if deed.span:
        details |= {"line_cores": deed.span, "line_bytes": deed.size_bytes}
    return Slice(deed.node, turn.start + deed.start, turn.start + deed.end, str(deed.who), details)


def _crossed(atlas: Atlas, came: int, here: int, deed: Deed) -> str:
    """From which wafer to which: a token that was chosen goes to where it will begin."""
    ends = (here, atlas.turns[0].place) if deed.kind == Return.__name__ else (came, here)
    return "wafer {} to wafer {}".format(*(atlas.places[end].wafer for end in ends))


def _ordered(tracks: dict[str, list[Slice]]) -> Iterator[Track]:
    """Runs first, then by who is at work."""
    order = [_RUNS, *map(str, Who)]
    for name in sorted(tracks, key=lambda name: (order.index(name.split(" over ")[0]), name)):
        yield Track(name, tuple(tracks[name]))


def arrows(atlas: Atlas) -> Iterator[Arrow]:
    """From the last run at a place to the first one at the next."""
    for before, after in pairwise([turn for turn in atlas.turns if turn.cycles]):
        if before.place != after.place:
            leaving = before.end - min(_INSIDE, before.cycles / 2)
            source = End(_name(atlas, before.place), _RUNS, leaving)
            yield Arrow("to the next region", source, End(_name(atlas, after.place), _RUNS, after.start))
