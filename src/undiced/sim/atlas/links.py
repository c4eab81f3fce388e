"""Links: what the links of one region carried for one layer, collective by collective, and which regions are alike.

Knows programs and how a layer is simulated wavelet by wavelet; neither files nor how it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import InvalidRequestError, UnsupportedError
from undiced.core.option import option
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.individual import touched
from undiced.program.wafer.program import Region, WaferProgram
from undiced.sim.fabric.carried import Carried, carried
from undiced.sim.fabric.layer import pick
from undiced.sim.fabric.lower.lower import Run, lower


@dataclass(frozen=True, slots=True)
class Links:
    """Of one simulation.

    Attributes:
        program: digest of the program. context: positions attended.
        region, layer: which region of the program, and which of the model's layers.
        streams: of the layer's runs there, by their numbers in the program, in order.
    """

    program: str
    context: int
    region: int
    layer: int
    streams: tuple[int, ...]
    carried: tuple[Carried, ...]

    @property
    def loads(self) -> NDArray[np.int64]:
        """[height, width, 5], of all collectives."""
        found: NDArray[np.int64] = np.sum([each.loads for each in self.carried], axis=0, dtype=np.int64)
        return found


@dataclass(frozen=True, slots=True)
class LinkMap:
    """Links beside the places that they are told of.

    Attributes:
        place: the one that was simulated. alike: all places of its shape that run the same streams for a layer, and do
            not lie around defects.
    """

    links: Links
    place: int
    alike: tuple[int, ...]


def links_of(
    program: WaferProgram,
    wafer: Wafer,
    made: Run,
    where: tuple[int, int, Sequence[int]],
    context: int,
    *,
    threads: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> Links:
    """Of a layer that is lowered already; `where`: region, layer, and numbers of its runs there.

    Raises:
        KernelError: a collective does not end.
    """
    region, layer, runs = where
    streams = tuple(program.regions[region].runs[run].stream for run in runs)
    found = carried(made, wafer, threads=threads, progress=progress)
    return Links(program.digest, context, region, layer, streams, found)


def simulate_links(
    program: WaferProgram, wafer: Wafer, context: int, progress: Callable[[float, str], None] | None = None
) -> Links:
    """Simulate the first layer that a region has whole, for a token that attends `context` positions.

    Raises:
        UnsupportedError: an instruction has no level 2, or tiles pass. InvalidRequestError: no layer.
    """
    where = pick(program, None, None)
    check_collectives(program, where)
    made = lower(program, where[0], where[2], token=0, position=context - 1, wafer=wafer)
    return links_of(program, wafer, made, where, context, progress=progress)


def check_collectives(program: WaferProgram, where: tuple[int, int, Sequence[int]]) -> None:
    """Sums and multicasts are all that a layer's wires carry; `where` as of `links_of`.

    Raises:
        UnsupportedError: tiles pass along both axes, too.
    """
    region, _, runs = where
    streams = (program.streams[program.regions[region].runs[run].stream] for run in runs)
    if any(isinstance(i, isa.ShiftProduct | isa.ShiftScores) for stream in streams for i in stream.instructions):
        raise UnsupportedError(
            "A prompt's products pass tiles around rings of both axes; links are told of sums and multicasts alone.",
            remedy="Draw all that links carried: `undiced fabric layer ... --phase prefill --loads loads.svg`.",
        )


def link_map(program: WaferProgram, links: Links, context: int) -> LinkMap:
    """Where in a program links are told of.

    Raises:
        InvalidRequestError: they are of another program, or of another context.
    """
    if links.context != context:
        raise InvalidRequestError(
            f"These link loads are of context {links.context:,}, and the map of {context:,}.",
            remedy=f"Use {option('context', links.context)}.",
        )
    if links.program != program.digest or not _belongs(program, links):
        raise InvalidRequestError(
            "These link loads are of another program.",
            remedy="Write them again with `undiced fabric layer`, from the same program or with the same options.",
        )
    region = program.regions[links.region]
    alike, own = [], 0
    for number, visits in enumerate(program.places):
        if (visits[0].wafer, visits[0].rect) == (region.wafer, region.rect):
            own = number
        same = _shape(visits[0]) == _shape(region) and any(_runs(visit, links.streams) for visit in visits)
        if same and not _moved(program, visits[0]):
            alike.append(number)
    return LinkMap(links, own, tuple(alike))


def _belongs(program: WaferProgram, links: Links) -> bool:
    """Whether there is such a region, and the loads are of its shape."""
    if not 0 <= links.region < len(program.regions):
        return False
    rect = program.regions[links.region].rect
    shapes = {each.loads.shape[:2] for each in links.carried}
    return shapes == {(rect.height, rect.width)} and all(
        each.run in range(len(links.streams)) for each in links.carried
    )


def _shape(region: Region) -> tuple[int, int, bool]:
    return region.rows, region.columns, region.turned


def _moved(program: WaferProgram, region: Region) -> bool:
    """Whether it lies around defects, so that wavelets take other links."""
    one = program.individual(region.wafer)
    return one is not None and next(touched(one, region.rect), None) is not None


def _runs(region: Region, streams: tuple[int, ...]) -> bool:
    """Whether a region runs these streams for one of its layers."""
    return any(
        tuple(run.stream for run in region.runs if run.layer == layer) == streams
        for layer in {run.layer for run in region.runs if run.layer >= 0}
    )
