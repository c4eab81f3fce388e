"""A wafer program from its parts: what every mapping's programs have in common. Knows no mapping."""

from __future__ import annotations

from undiced.compiler.wafer.dims import Dims
from undiced.machine.wafer import Wafer
from undiced.program import Bounds, Program, Region, Stream


def wafer_program(
    dims: Dims,
    wafer: Wafer,
    bounds: Bounds,
    regions: tuple[Region, ...],
    streams: tuple[Stream, ...],
    facts: tuple[tuple[str, float], ...],
) -> Program:
    """Regions and streams of `dims` on `wafer`."""
    return Program(
        model=dims.name,
        machine=wafer.name,
        graph_digest=dims.digest,
        machine_digest=wafer.digest,
        bounds=bounds,
        regions=regions,
        streams=streams,
        vocab=dims.vocab,
        facts=facts,
    )
