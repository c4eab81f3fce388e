"""Page: all views of an atlas with their tables, as one file that needs no network. Its script only shows and sorts."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path

from undiced.core.printable import printable
from undiced.draw.theme import Theme, style
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.views.picture import VIEWS, Show, panel
from undiced.sim.views.table import Cell, Column, Table
from undiced.sim.views.words import assumptions, facts, heading, stamp

_HERE = Path(__file__).parent
_OPTION = re.compile(r"--[\w-]+ \w+")
_ROOT = (
    ":root{{--paper:{paper};--ink:{ink};--faint:{faint};--face:{face};--edge:{edge};--alarm:{alarm};"
    "color-scheme:light dark}}"
)


def page(atlas: Atlas, first: Show, theme: Theme = "auto") -> str:
    """The page, with the view `first` in front."""
    css, script = style(theme, _ROOT) + _asset("page.css"), _asset("page.js")
    own = f"style-src '{_digest(css)}'; script-src '{_digest(script)}'"
    policy = f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
    tabs = "".join(_tab(show, show == first) for show in VIEWS)
    warning = f'<p class="stamp" role="alert">{_stamped(atlas)}</p>' if atlas.unfit is not None else ""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_words(heading(atlas))}</title>\n<style>{css}</style>\n</head>\n<body>",
            f"<header><h1>{_words(heading(atlas))}</h1>{warning}",
            *(f"<p>{_words(fact)}</p>" for fact in facts(atlas)),
            f'</header>\n<div role="tablist" aria-label="Views">{tabs}</div>\n<main>',
            *(_panel(atlas, show) for show in VIEWS),
            f"</main>\n<footer><p>{_words(assumptions(atlas))}</p></footer>",
            f"<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


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
    return (
        f'<section role="tabpanel" id="view-{show}" aria-labelledby="tab-{show}">'
        f'<p class="note">{_words(view.note)}</p>'
        f'<div class="both"><div class="drawing" tabindex="0">{drawing}</div>\n'
        f"{_table(view.table(atlas))}</div></section>"
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
