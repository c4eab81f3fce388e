"""Atlas: everything that the map shows of one program and one token, as data. Every figure is the program's or the
clock's. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from undiced.core.option import option
from undiced.machine.constant import Constant
from undiced.machine.wafer import Wafer
from undiced.program.rect import Rect
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Tree
from undiced.sim.atlas.contents import Contents, contents
from undiced.sim.atlas.deeds import Deed, Who, covered, deeds
from undiced.sim.atlas.fill import Fill, fills
from undiced.sim.atlas.journey import HandOver, Span, Turn, hand_overs, journey, turns
from undiced.sim.atlas.links import LinkMap, Links, link_map
from undiced.sim.clock import RegionTime, Timing, time_step
from undiced.sim.outlook import is_prompt, mapping_of
from undiced.sim.paths import Paths

_ON_WAFER = ("core.", "link.")
_OFF_WAFER = ("system.wafer_to_wafer_s", "system.io_bytes_per_s")


@dataclass(frozen=True, slots=True)
class Place:
    """One rectangle of cores of one wafer: what it holds, what that takes, and how long a token stays."""

    name: str
    wafer: int
    rect: Rect
    turned: bool
    contents: Contents
    fill: Fill
    timed: RegionTime

    @property
    def rows(self) -> int:
        """Logical rows; they lie side by side along x if the place is turned."""
        return self.rect.width if self.turned else self.rect.height

    @property
    def columns(self) -> int:
        """Logical columns."""
        return self.rect.height if self.turned else self.rect.width


@dataclass(frozen=True, slots=True)
class Unfit:
    """That a program's model does not fit, and what would."""

    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Atlas:
    """What is drawn and told of a program.

    Attributes:
        mesh: cores of a wafer, x by y. wafers_given: how many might be used, if that was said.
        clock: its provenance; `timing` has its rate.
        assumed: constants of the machine that no measurement tells, by name, of those that the timing depends on.
        held: positions that the program was compiled for.
        turns: the token's runs in order; deeds: what a run of each stream does. spans: turns of one layer as one.
        trees: of the program, by the numbers that deeds name.
        bottlenecks: the places that set the initiation interval; several if they take equally long.
        links: what links of one place carried for one layer, if that was simulated.
    """

    model: str
    machine: str
    mapping: str
    prompt: bool
    streams: int
    held: int
    mesh: tuple[int, int]
    wafers: int
    wafers_given: int | None
    clock: str
    assumed: tuple[tuple[str, Constant], ...]
    timing: Timing
    places: tuple[Place, ...]
    turns: tuple[Turn, ...]
    deeds: tuple[tuple[Deed, ...], ...]
    trees: tuple[Tree, ...]
    spans: tuple[Span, ...]
    hand_overs: tuple[HandOver, ...]
    bottlenecks: tuple[int, ...]
    unfit: Unfit | None
    links: LinkMap | None = None

    @property
    def context(self) -> int:
        """Positions attended, or the prompt's."""
        return self.timing.step.context

    @property
    def tokens_per_second(self) -> float:
        """Of one user; of the prompt where the program takes one."""
        return self.timing.tokens_per_second * (self.context if self.prompt else 1)

    @property
    def drawn(self) -> tuple[int, ...]:
        """The wafers that have regions."""
        return tuple(sorted({place.wafer for place in self.places}))

    def of_wafer(self, wafer: int) -> Iterator[tuple[int, Place]]:
        """Number and place of everything on a wafer."""
        return ((number, place) for number, place in enumerate(self.places) if place.wafer == wafer)

    def share(self, number: int) -> float:
        """Of the token's cycles, that of a place."""
        return self.places[number].timed.cycles / self.timing.token_cycles

    def busy(self, number: int) -> float:
        """Of the initiation interval, what a place computes while the pipeline is full."""
        return self.places[number].timed.cycles / self.timing.initiation_interval_cycles

    def spent(self, number: int, whose: tuple[Who, ...]) -> float:
        """Of a token's cycles at a place, those in which somebody of `whose` is at work, overlaps counted once."""
        return sum(covered(self.deeds[turn.stream], whose) for turn in self.turns if turn.place == number)

    def carried(self, number: int, who: Who) -> tuple[int, int]:
        """Sums, or whatever `who` names, of a token at a place: how many, and their bytes along one line."""
        found = [
            deed.size_bytes
            for turn in self.turns
            if turn.place == number
            for deed in self.deeds[turn.stream]
            if deed.who is who
        ]
        return len(found), sum(found)

    @property
    def idle(self) -> float:
        """Of all core-cycles that used wafers have in one token's time, those in which a core works on nothing of it.

        What roots, owners and keepers alone do is left out.
        """
        worked = sum(self.spent(n, (Who.CORES,)) * place.rect.cores for n, place in enumerate(self.places))
        return 1 - worked / (self.timing.token_cycles * len(self.drawn) * self.mesh[0] * self.mesh[1])

    @property
    def covered(self) -> float:
        """The share of all cores of the used wafers that a region covers."""
        return sum(place.rect.cores for place in self.places) / (len(self.drawn) * self.mesh[0] * self.mesh[1])


def atlas(
    program: WaferProgram,
    wafer: Wafer,
    context: int | None = None,
    clock_hz: float | None = None,
    wafers_given: int | None = None,
    links: Links | None = None,
) -> Atlas:
    """The atlas of a program, for one token of one sequence at a context; by default the longest that it holds.

    Raises:
        CompileError: a program that was compiled for another machine, or that breaks a rule of it.
        InvalidRequestError: links of another program or context.
    """
    step = Step(context=context or program.bounds.context)
    timing = time_step(program, wafer, step, clock_hz)
    paths = Paths(program, wafer, step, timing.clock_hz)
    spread = zip(program.places, contents(program), fills(program, wafer), timing.regions, strict=True)
    places = tuple(
        Place(visits[0].name, timed.wafer, timed.rect, visits[0].turned, held, fill, timed)
        for visits, held, fill, timed in spread
    )
    runs, passed = turns(program, paths), hand_overs(program, paths, step)
    own = clock_hz is None or clock_hz == wafer.system.clock_hz.value
    return Atlas(
        model=program.model,
        machine=program.machine,
        mapping=mapping_of(program),
        prompt=is_prompt(program),
        streams=program.bounds.batch,
        held=program.bounds.context,
        mesh=wafer.mesh.size,
        wafers=program.wafers,
        wafers_given=wafers_given,
        clock=wafer.system.clock_hz.provenance if own else "as asked",
        assumed=tuple(_assumed(wafer, any(each.off_wafer for each in passed))),
        timing=timing,
        places=places,
        turns=runs,
        deeds=deeds(program, paths, step),
        trees=program.trees,
        spans=journey(runs),
        hand_overs=passed,
        bottlenecks=tuple(n for n, p in enumerate(places) if p.timed.cycles == timing.initiation_interval_cycles),
        unfit=_unfit(program, places),
        links=link_map(program, links, step.context) if links is not None else None,
    )


def _assumed(wafer: Wafer, leaves: bool) -> Iterator[tuple[str, Constant]]:
    for name, constant in wafer.constants():
        counts = name.startswith(_ON_WAFER) or name == "system.clock_hz" or (leaves and name in _OFF_WAFER)
        if counts and constant.provenance == "assumed":
            yield name, constant


def _unfit(program: WaferProgram, places: tuple[Place, ...]) -> Unfit | None:
    """Benchmarks are timed whether or not the model fits that they stand for."""
    facts = dict(program.facts)
    if facts.get("fits", 1.0):
        return None
    fill = max((place.fill for place in places), key=lambda fill: fill.needed)
    layers = int(facts["layers"])
    each = fill.replayed // max(layers - 1, 1)
    held = 1 + (fill.sram - fill.used) // each if each else layers
    why = f"{layers} layers would take {fill.needed:,} bytes of a core, which has {fill.sram:,}"
    fewer = f"{option('layers', held)} on this region, or " if held > 0 else ""
    return Unfit(f"{why}; timed all the same, as published", f"{fewer}{option('mapping', 'undiced')}")
