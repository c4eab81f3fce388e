"""The table of request members as Markdown. Run as a program, it writes the table into docs/api.md."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from undiced.api.field_table import TABLE
from undiced.api.fields import Fate, Field, Where

BEGIN = "<!-- request members: begin -->"
END = "<!-- request members: end -->"
DOCS = Path(__file__).parents[2] / "docs" / "api.md"
CHATTY = ("messages", "reasoning", "thinking", "chat_template_kwargs", "tools", "tool_choice")  # objects of chats
ENDPOINTS = {Where.CHAT: "chat", Where.TEXT: "text", Where.BOTH: "both"}


def markdown() -> str:
    """The served, harmless and refused members, between markers."""
    parts = [
        BEGIN,
        "### Served",
        "",
        *_served(),
        "",
        "### Harmless",
        "",
        *_harmless(),
        "",
        "### Refused",
        "",
        *_refused(),
        END,
    ]
    return "\n".join(parts)


def _lines(fate: Fate) -> list[tuple[str, Field]]:
    return [(place, _at(place, line)) for place, found in TABLE.items() for line in found if line.fate is fate]


def _at(place: str, line: Field) -> Field:
    return replace(line, where=Where.CHAT) if place.startswith(CHATTY) else line


def _grouped(fate: Fate, *columns: str) -> list[tuple[Field, list[str]]]:
    """Members with the same columns share a row; rows in the table's order."""
    rows: dict[tuple[object, ...], tuple[Field, list[str]]] = {}
    for place, line in _lines(fate):
        key = (place, *(getattr(line, column) for column in columns))
        rows.setdefault(key, (line, []))[1].append(_name(place, line))
    return list(rows.values())


def _name(place: str, line: Field) -> str:
    shown = f"`{place}{line.name}`"
    values = ", ".join(f"`{json.dumps(value)}`" for value in line.neutral) if line.fate is Fate.REFUSED else ""
    return f"{shown} ({values})" if values else shown


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _served() -> list[str]:
    found = _grouped(Fate.SERVED, "where", "note")
    rows = [[", ".join(names), ENDPOINTS[line.where], line.note] for line, names in found]
    return _table(["Member", "Endpoint", "Values"], rows)


def _harmless() -> list[str]:
    rows = [[", ".join(names), line.note] for line, names in _grouped(Fate.HARMLESS, "note")]
    return _table(["Member", "Why it changes nothing"], rows)


def _refused() -> list[str]:
    found = _grouped(Fate.REFUSED, "where", "note", "origin", "remedy")
    rows = [[", ".join(names), ENDPOINTS[line.where], line.origin, _reason(line)] for line, names in found]
    return _table(["Member (values that pass, besides null)", "Endpoint", "Known from", "Why"], rows)


def _reason(line: Field) -> str:
    return line.note if line.remedy == "Leave it out." else f"{line.note}; {line.remedy[0].lower()}{line.remedy[1:-1]}"


if __name__ == "__main__":
    text = DOCS.read_text()
    DOCS.write_text(text[: text.index(BEGIN)] + markdown() + text[text.index(END) + len(END) :])
