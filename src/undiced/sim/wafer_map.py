"""A picture of a compiled program: wafers with regions colored by layer, labels, hottest collective, legend. SVG.

Knows programs and reports, draws nothing core by core.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from html import escape

from undiced.machine.wafer import Wafer
from undiced.program import Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.lifetimes import OUTPUTS
from undiced.program.wafer.program import WaferProgram
from undiced.sim.clock import Timing
from undiced.sim.outlook import is_prompt

_CELL = 360  # pixels of a wafer's longer side
_GAP = 28
_HEADER = 92
_FOOTER = 84
_PER_ROW = 4
_LABEL_MIN = 26.0  # pixels a region must be wide and high to carry a label
_WIDE_LABEL_MIN = 70.0
_ROLE_COLORS = {"embedding": "#8c8c8c", "head": "#4d4d4d"}
_RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


@dataclass(frozen=True, slots=True)
class _Tile:
    """What one rectangle of one wafer holds."""

    rect: Rect
    first: int
    last: int
    cycles: float
    roles: frozenset[str]
    hottest: tuple[str, float]


def svg(program: WaferProgram, wafer: Wafer, report: Timing) -> str:
    """The map as an SVG document."""
    tiles = _tiles(program, report)
    layers = int(dict(program.facts).get("layers", 0)) or 1 + max(
        (t.last for ts in tiles.values() for t in ts), default=0
    )
    mesh = wafer.mesh.size
    scale = _CELL / max(mesh)
    cell_w, cell_h = mesh[0] * scale + _GAP, mesh[1] * scale + _GAP + 20
    wafers = sorted(tiles)
    across = min(_PER_ROW if len(wafers) <= 2 * _PER_ROW else 2 * _PER_ROW, len(wafers))
    width = max(760.0, across * cell_w + _GAP)
    height = _HEADER + -(-len(wafers) // across) * cell_h + _FOOTER
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *_header(program, report, len(wafers)),
    ]
    hottest = max((t for ts in tiles.values() for t in ts), key=lambda t: t.hottest[1])
    for index, chip in enumerate(wafers):
        x = _GAP + index % across * cell_w
        y = _HEADER + index // across * cell_h
        parts += _chip(chip, tiles[chip], (x, y), mesh, scale, layers, hottest)
    parts += _legend(height - _FOOTER + 14, layers, hottest)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _tiles(program: WaferProgram, timing: Timing) -> dict[int, list[_Tile]]:
    """Regions on the same cores are one rectangle."""
    tiles: dict[int, list[_Tile]] = defaultdict(list)
    for visits, timed in zip(program.places, timing.regions, strict=True):
        first, last = min(timed.layers, default=-1), max(timed.layers, default=-1)
        streams = [program.streams[run.stream] for region in visits for run in region.runs]
        ends = (
            ("embedding", any(_embeds(i) for stream in streams for i in stream.instructions)),
            ("head", any(value.name in OUTPUTS for stream in streams for value in stream.values)),
        )
        roles = frozenset(role for role, held in ends if held)
        tiles[timed.wafer].append(_Tile(timed.rect, first, last, timed.cycles, roles, timed.hottest))
    return tiles


def _embeds(i: isa.Instruction) -> bool:
    return isinstance(i, isa.Read) or (isinstance(i, isa.Lookup) and i.index == "token")


def _header(program: WaferProgram, report: Timing, wafers: int) -> list[str]:
    shapes = ", ".join(sorted({f"{r.rect.width} x {r.rect.height}" for r in report.regions}))
    batch, context, whole = report.step.sequences, report.step.context, is_prompt(program)
    speed = report.tokens_per_second * (context if whole else 1)
    per, size = ("prompt", f"prompt of {context:,}") if whole else ("token", f"context {context:,}, batch {batch}")
    stages = f"{report.stages} stage" if report.stages == 1 else f"{report.stages} stages"
    lines = (
        f"{program.model} on {wafers} x {program.machine}",
        f"{stages} of {shapes} cores · {report.token_cycles:,.0f} cycles per {per}, simulated",
        f"{speed:,.0f} tokens/s for one user at {report.clock_hz / 1e9:.3g} GHz, {size}",
    )
    sizes = (20, 13, 13)
    return [
        f'<text x="{_GAP}" y="{30 + 20 * i + (4 if i else 0)}" font-size="{size}" fill="#202020">{escape(line)}</text>'
        for i, (line, size) in enumerate(zip(lines, sizes, strict=True))
    ]


def _chip(
    chip: int,
    tiles: list[_Tile],
    origin: tuple[float, float],
    mesh: tuple[int, int],
    scale: float,
    layers: int,
    hottest: _Tile,
) -> list[str]:
    x, y = origin
    out = [
        f'<text x="{x:.1f}" y="{y + 12:.1f}" font-size="12" fill="#404040">wafer {chip}</text>',
        f'<rect x="{x:.1f}" y="{y + 18:.1f}" width="{mesh[0] * scale:.1f}" height="{mesh[1] * scale:.1f}" '
        'fill="#f2f2f2" stroke="#909090"/>',
    ]
    for tile in tiles:
        left, top = x + tile.rect.x * scale, y + 18 + tile.rect.y * scale
        out += _region(tile, (left, top), scale, layers, tile is hottest)
    return out


def _region(tile: _Tile, corner: tuple[float, float], scale: float, layers: int, hot: bool) -> list[str]:
    left, top = corner
    width, height = tile.rect.width * scale, tile.rect.height * scale
    fill = _color(tile, layers)
    stroke = 'stroke="#d62728" stroke-width="3"' if hot else 'stroke="#ffffff" stroke-width="1"'
    note, cycles = tile.hottest
    title = f"{_label(tile)}; {tile.cycles:,.0f} cycles; longest collective: {note}, {cycles:,.0f} cycles"
    out = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" {stroke}>'
        f"<title>{escape(title)}</title></rect>"
    ]
    if width < _LABEL_MIN or height < _LABEL_MIN:
        return out
    ink = "#ffffff" if _dark(fill) else "#101010"
    lines = [_label(tile), f"{tile.cycles / 1e3:,.0f}k cycles"] if width > _WIDE_LABEL_MIN else [_short(tile)]
    middle = top + height / 2 - 7 * (len(lines) - 1)
    return out + [
        f'<text x="{left + width / 2:.1f}" y="{middle + 4 + 14 * i:.1f}" font-size="11" text-anchor="middle" '
        f'fill="{ink}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    ]


def _short(tile: _Tile) -> str:
    if tile.first < 0:
        return "head" if "head" in tile.roles else "embed"
    return str(tile.first) if tile.first == tile.last else f"{tile.first}-{tile.last}"


def _label(tile: _Tile) -> str:
    parts = ["embedding"] if "embedding" in tile.roles else []
    if tile.first >= 0:
        parts.append(f"layer {tile.first}" if tile.first == tile.last else f"layers {tile.first}-{tile.last}")
    if "head" in tile.roles:
        parts.append("head")
    return ", ".join(parts)


def _color(tile: _Tile, layers: int) -> str:
    if tile.first < 0:
        return next((color for role, color in _ROLE_COLORS.items() if role in tile.roles), "#c0c0c0")
    return _ramp((tile.first + tile.last) / 2 / max(layers - 1, 1))


def _ramp(share: float) -> str:
    position = min(max(share, 0.0), 1.0) * (len(_RAMP) - 1)
    index = min(int(position), len(_RAMP) - 2)
    low, high = _RAMP[index], _RAMP[index + 1]
    mixed = (round(a + (b - a) * (position - index)) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _dark(color: str) -> bool:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140


def _legend(top: float, layers: int, hottest: _Tile) -> list[str]:
    steps = 48
    out = [f'<text x="{_GAP}" y="{top + 12:.1f}" font-size="12" fill="#404040">layer</text>']
    for i in range(steps):
        x = _GAP + 40 + i * 5
        out.append(f'<rect x="{x}" y="{top:.1f}" width="5.5" height="14" fill="{_ramp(i / (steps - 1))}"/>')
    end = _GAP + 40 + steps * 5
    out += [
        f'<text x="{_GAP + 40}" y="{top + 28:.1f}" font-size="11" fill="#404040">0</text>',
        f'<text x="{end}" y="{top + 28:.1f}" font-size="11" text-anchor="end" fill="#404040">{layers - 1}</text>',
    ]
    entries = (("#8c8c8c", "embedding alone"), ("#4d4d4d", "head alone"), ("#f2f2f2", "unused cores"))
    for i, (color, text) in enumerate(entries):
        x = end + 24 + i * 132
        out.append(f'<rect x="{x}" y="{top:.1f}" width="14" height="14" fill="{color}" stroke="#909090"/>')
        out.append(f'<text x="{x + 20}" y="{top + 12:.1f}" font-size="11" fill="#404040">{text}</text>')
    note, cycles = hottest.hottest
    out.append(
        f'<text x="{_GAP}" y="{top + 50:.1f}" font-size="12" fill="#d62728">'
        f"red frame: the hottest collective, {escape(note)}, {cycles:,.0f} cycles ({escape(_label(hottest))})</text>"
    )
    return out
