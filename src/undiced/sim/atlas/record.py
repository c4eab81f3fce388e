"""Record: an atlas as plain data under stable keys, for scripts: what the pictures show, figure by figure."""

from __future__ import annotations

from undiced.program.wafer.layout import Axis
from undiced.program.wafer.tree import roots
from undiced.sim.atlas.atlas import Atlas, Place
from undiced.sim.atlas.deeds import WIRES, Who
from undiced.sim.atlas.fill import Fill
from undiced.sim.atlas.links import LinkMap

_FILL = ("weights", "cache", "tables", "code", "scratch", "replayed", "needed", "free", "sram")


def record(atlas: Atlas) -> dict[str, object]:
    """Everything that an atlas holds; places are named by their index in `places`."""
    timing = atlas.timing
    return {
        "model": atlas.model,
        "machine": atlas.machine,
        "mapping": atlas.mapping,
        "phase": "prefill" if atlas.prompt else "decode",
        "context": atlas.context,
        "streams": atlas.streams,
        "clock_hz": timing.clock_hz,
        "clock_provenance": atlas.clock,
        "assumed": {name: constant.value for name, constant in atlas.assumed},
        "mesh": atlas.mesh,
        "wafers": atlas.wafers,
        "wafers_given": atlas.wafers_given,
        "cores_covered": atlas.covered,
        "fits": atlas.unfit is None,
        **({} if atlas.unfit is None else {"does_not_fit": atlas.unfit.why, "would_fit": atlas.unfit.remedy}),
        "tokens_per_second": atlas.tokens_per_second,
        "cycles_per_token": timing.token_cycles,
        "initiation_interval_cycles": timing.initiation_interval_cycles,
        "bottlenecks": atlas.bottlenecks,
        "compiled_for_context": atlas.held,
        "idle_core_cycles": atlas.idle,
        "trees": [
            {
                "span": tree.span,
                "slices": tree.slices,
                "levels": [{"size": level.size, "star": level.star} for level in tree.levels],
                "roots": roots(tree),
            }
            for tree in atlas.trees
        ],
        **({} if atlas.links is None else {"link_loads": _links(atlas.links)}),
        "places": [_place(atlas, number, place) for number, place in enumerate(atlas.places)],
        "hand_overs": [
            {
                "from": passed.source,
                "to": passed.target,
                "returns": passed.returns,
                "carries": passed.carried,
                "bytes": passed.size_bytes,
                "hops": passed.hops,
                "off_wafer": passed.off_wafer,
                "cycles": passed.cycles,
            }
            for passed in atlas.hand_overs
        ],
        "spans": [
            {
                "place": span.place,
                "for": str(span.role),
                "layer": span.layer,
                "start": span.start,
                "cycles": span.cycles,
            }
            for span in atlas.spans
        ],
    }


def _links(found: LinkMap) -> dict[str, object]:
    """What was simulated, without the loads of each link, which a file has."""
    return {
        "place": found.place,
        "layer": found.links.layer,
        "alike": found.alike,
        "collectives": [
            {
                "for": each.node,
                "makes": each.value,
                "kind": "sums" if each.sums else "multicasts",
                "over": "rows" if each.axis is Axis.ROWS else "columns",
                "line_cores": each.span,
                "cycles_by_itself": each.cycles,
                "wavelet_hops": int(each.loads[:, :, 1:].sum()),
                "busiest_link_wavelets": int(each.loads[:, :, 1:].max()),
            }
            for each in found.links.carried
        ],
    }


def _place(atlas: Atlas, number: int, place: Place) -> dict[str, object]:
    node, cycles = place.timed.hottest
    return {
        "region": place.name,
        "wafer": place.wafer,
        "x": place.rect.x,
        "y": place.rect.y,
        "width": place.rect.width,
        "height": place.rect.height,
        "holds": place.contents.lines,
        "whole_layers": place.contents.whole,
        "parts": [
            {"layer": part.layer, "of": str(part.role), "share": float(part.share)} for part in place.contents.cut
        ],
        "cycles": place.timed.cycles,
        "share_of_token": atlas.share(number),
        "busy_when_full": atlas.busy(number),
        "cores_at_work_cycles": atlas.spent(number, (Who.CORES,)),
        "wires_in_use_cycles": atlas.spent(number, WIRES),
        "carried": {
            str(who).replace(" ", "_"): dict(zip(("count", "bytes_per_line"), atlas.carried(number, who), strict=True))
            for who in WIRES
        },
        "cycles_by_kind": place.timed.cost.as_dict(),
        "longest_collective": {"node": node, "cycles": cycles},
        "sram_bytes": _fill(place.fill),
    }


def _fill(fill: Fill) -> dict[str, int]:
    return {name: getattr(fill, name) for name in _FILL}
