"""Page: all views of an atlas with their tables, and a token's way through them as time passes, as one file that needs
no network. Its script moves, shows and sorts; every figure is the atlas's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from html import escape
from pathlib import Path

from undiced.core.printable import printable
from undiced.draw.theme import Theme, style
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.views.film import film
from undiced.sim.views.picture import PANEL_TOP, VIEWS, Show, panel, shown
from undiced.sim.views.sheet import PAGE
from undiced.sim.views.table import Cell, Column, Table
from undiced.sim.views.trees import lens
from undiced.sim.views.words import assumptions, figures, heading, notes, source, stamp

_HERE = Path(__file__).parent
_SCRIPTS = ("film", "player", "brush", "overlay", "strip", "cards", "links", "zoom", "tabs")
_FEW = 2  # wafers that leave room for more beside them
_LENS_FEW, _LENS = 380.0, 180.0  # pixels that a region's trees are high, beside few wafers or many
_OPTION = re.compile(r"--[\w-]+ \w+")
_ROOT = (
    ":root{{--paper:{paper};--ink:{ink};--faint:{faint};--face:{face};--edge:{edge};--alarm:{alarm};"
    "color-scheme:light dark}}"
)
_KEYS = (
    "Space plays and pauses. Arrows go from event to event, with Shift by a fiftieth of the token; N and P to the next "
    "region and back, S to the slowest stage, Home and End to the ends. + and - change the speed, 1 to 7 choose a "
    "view, Z follows the token's wafer, Escape unmarks."
)
_DOCK = """<div class="dock">
<div class="controls"><button id="play" aria-label="Play">&#9658;</button><span id="now"></span>
<button id="slower" aria-label="Slower">&#8722;</button><button id="faster" aria-label="Faster">+</button>
<span id="speed"></span><button id="slowest">Slowest stage</button>
<button id="follow" aria-pressed="false">Follow the token's wafer</button></div>
<canvas id="whole" aria-hidden="true"></canvas>
<input id="slider" type="range" min="0" max="1" value="0" step="any" aria-label="Moment of the token">
<canvas id="near" aria-hidden="true"></canvas></div>"""


def page(atlas: Atlas, first: Show, theme: Theme = "auto") -> str:
    """The page, with the view `first` in front."""
    css = style(theme, _ROOT) + _asset("page.css")
    script = '"use strict";\n{\n' + "\n".join(_asset(f"script/{name}.js") for name in _SCRIPTS) + "}\n"
    own = f"style-src '{_digest(css)}'; script-src '{_digest(script)}'"
    policy = f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_words(heading(atlas))}</title>\n<style>{css}</style>\n</head>\n<body>",
            _header(atlas),
            "<noscript><p>The views follow each other below; the time line needs its script.</p></noscript>",
            f'<div class="stage{" few" * _few(atlas)}">\n<main>{_tabs(atlas, first)}',
            *(_panel(atlas, show) for show in shown(atlas)),
            f"</main>\n{_aside(atlas)}</div>\n{_DOCK}",
            f"<footer><p>{_words(_KEYS)}</p><p>{_words(assumptions(atlas))}</p></footer>",
            f'<script type="application/json" id="film">{_data(atlas)}</script>',
            f"<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _few(atlas: Atlas) -> bool:
    return len(atlas.drawn) <= _FEW


def _header(atlas: Atlas) -> str:
    warning = f'<p class="stamp" role="alert">{_stamped(atlas)}</p>' if atlas.unfit is not None else ""
    told = "".join(f"<div><dd>{_words(figure)}</dd><dt>{_words(of)}</dt></div>" for figure, of in figures(atlas))
    more = "".join(f'<p class="more">{_words(note)}</p>' for note in notes(atlas))
    title = f"<h1>{_words(heading(atlas))}</h1><p>{_words(source(atlas))}</p>"
    return f"<header><div>{title}</div><dl>{told}</dl></header>{warning}{more}"


def _tabs(atlas: Atlas, first: Show) -> str:
    tabs = "".join(_tab(show, show == first) for show in shown(atlas))
    return f'<div role="tablist" aria-label="Views">{tabs}</div>'


def _aside(atlas: Atlas) -> str:
    """What happens, the trees of the region where it does, and what a region holds."""
    lenses = "".join(
        f'<div class="lens" data-places="{" ".join(map(str, places))}" hidden>'
        f"{canvas.inline('trees of this region')}</div>"
        for canvas, places in lens(atlas, _LENS_FEW if _few(atlas) else _LENS)
    )
    return f'<aside><div id="happens"></div>{lenses}<div id="region"></div></aside>'


def _data(atlas: Atlas) -> str:
    """As JSON that no markup can be in."""
    text = json.dumps(film(atlas, PAGE, PANEL_TOP), separators=(",", ":"))
    return printable(text).replace("<", "\\u003c")


def _stamped(atlas: Atlas) -> str:
    """That it does not fit; options of the command line are not broken into lines."""
    return _OPTION.sub(r"<code>\g<0></code>", _words(stamp(atlas)))


@cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """How the page's policy names its own style and script, so that no other runs."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _tab(show: Show, chosen: bool) -> str:
    selected = "true" if chosen else "false"
    name = VIEWS[show].name
    return (
        f'<button role="tab" id="tab-{show}" aria-controls="view-{show}" aria-selected="{selected}">'
        f"{name[:1].upper()}{name[1:]}</button>"
    )


def _panel(atlas: Atlas, show: Show) -> str:
    view = VIEWS[show]
    drawing = panel(atlas, show).inline(f"{view.name} of {heading(atlas)}")
    wafers = " data-regional" if view.regional else ""
    return (
        f'<section role="tabpanel" id="view-{show}" aria-labelledby="tab-{show}"{wafers}>'
        f'<p class="note" title="{_words(view.note)}">{_words(view.note)}</p>'
        f'<div class="drawing" tabindex="0">{drawing}</div>\n{_table(view.table(atlas))}</section>'
    )


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    heads = "".join(
        f'<th scope="col"{" class=figure" if column.form else ""}><button>{_words(column.name)}</button></th>'
        for column in table.columns
    )
    rows = "\n".join(_row(table.columns, place, cells) for place, cells in table.rows)
    return (
        f'<div class="numbers" tabindex="0"><table><thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>'
    )


def _row(columns: tuple[Column, ...], place: int, cells: tuple[Cell, ...]) -> str:
    told = "".join(_cell(column, cell) for column, cell in zip(columns, cells, strict=True))
    return f'<tr data-place="{place}">{told}</tr>'


def _cell(column: Column, cell: Cell) -> str:
    words = _words(column.spelled(cell))
    return f'<td data-value="{cell!r}">{words}</td>' if isinstance(cell, int | float) else f"<td>{words}</td>"


def _words(text: str) -> str:
    return escape(printable(text))
