"""Rows: many questions at once. Lists of choices become points, every point a flat row, and rows CSV.

A point that does not fit is a row, too: it says so, and what would fit. What can't be asked at all is refused at once.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from undiced.core.errors import CompileError
from undiced.machine.wafer import Wafer
from undiced.model import Graph, ModelConfig
from undiced.study.answer import Answer, answer
from undiced.study.question import Placed, Question, place

Cell = str | float | bool | None
Row = dict[str, Cell]
_CHOSEN = (
    "wafers_given", "context", "batch", "weights", "fill", "sum_bits", "objective", "phase", "layers", "draft",
    "acceptance",
)  # fmt: skip
_FIGURES = (
    "fits", "tokens_per_second", "aggregate_tokens_per_second", "time_to_first_token_s", "clock_hz", "cycles_per_token",
    "cycles_per_layer", "initiation_interval_cycles", "max_context_tokens", "sram_bytes_max_per_core",
    "code_bytes_per_core",
)  # fmt: skip
_SPECULATED = {  # columns, and what they are of a speculation
    "draft_on": "draft_on",
    "draft_wafers": "draft_wafers",
    "drafted_tokens": "drafted_tokens",
    "tokens_per_round": "tokens_per_round",
    "rows_per_token": "rows_per_token",
    "speculated_tokens_per_second": "tokens_per_second",
    "acceptance_provenance": "provenance",
}
_KINDS = ("compute", "collective", "overhead", "hops", "io")
COLUMNS = (
    "model", "family", "machine", "mapping", "wafers", *_CHOSEN, *_FIGURES, *(f"{kind}_cycles" for kind in _KINDS),
    *_SPECULATED, "assumed_sizes", "error",
)  # fmt: skip


def points(asked: Question, lists: Mapping[str, Sequence[object]]) -> list[Question]:
    """Every combination of the listed choices, the last list fastest; all else as `asked`.

    Raises:
        UndicedError: a model, a machine or an option that is not known. Nothing has been compiled by then.
    """
    combinations = itertools.product(*lists.values())
    # the lists' names are fields of a question, whose own checks look at the values
    made = [replace(asked, **dict(zip(lists, values, strict=True))) for values in combinations]  # type: ignore[arg-type]
    for point in made:
        point.check()
    _look_up(made)
    return made


def _look_up(made: list[Question]) -> None:
    from undiced.machine import find_machine
    from undiced.study.subject import subject

    for machine in {point.machine for point in made if isinstance(point.machine, str)}:
        find_machine(machine)
    models = [point.model for point in made if not isinstance(point.model, Graph | ModelConfig)]
    for model in dict.fromkeys(models):
        subject(model)


def rows(made: Sequence[Question]) -> Iterator[Row]:
    """The row of each point, in order, as it is found. Points that differ in their timing alone share a program."""
    programs: dict[int, Placed | CompileError] = {}
    placements: list[Question] = []
    for point in made:
        if point.placement not in placements:
            placements.append(point.placement)
        number = placements.index(point.placement)
        if number not in programs:
            programs[number] = _placed(point)
        yield _row(point, programs[number])


def _placed(point: Question) -> Placed | CompileError:
    try:
        return place(point)
    except CompileError as error:
        return error


def _row(point: Question, placed: Placed | CompileError) -> Row:
    if isinstance(placed, CompileError):
        return _unfit(point, placed)
    try:
        found = answer(placed, point)
    except CompileError as error:
        return _unfit(point, error)
    return _blank(point) | _figures(found)


def _blank(point: Question) -> Row:
    """What was chosen, and nothing found yet."""
    row: Row = dict.fromkeys(COLUMNS)
    model, machine = point.model, point.machine
    named = model.config if isinstance(model, Graph) else model
    row |= {name: cast(Cell, getattr(point, name)) for name in _CHOSEN if name != "wafers_given"}
    return row | {
        "model": named.name if isinstance(named, ModelConfig) else str(named),
        "machine": machine.name if isinstance(machine, Wafer) else machine,
        "mapping": point.mapping,
        "wafers_given": point.wafers,
        "context": point.positions,
        "weights": point.weights or ("as stored" if isinstance(model, Graph) else "fp16"),
    }


def _unfit(point: Question, error: CompileError) -> Row:
    return _blank(point) | {"fits": False, "error": str(error)}


def _figures(found: Answer) -> Row:
    kinds = cast(dict[str, dict[str, float]], found["breakdown"])["kind"]
    names = ("model", "family", "machine", "wafers", *_FIGURES)
    plain = {name: cast(Cell, found[name]) for name in names if name in found}
    assumed = cast(dict[str, object], found.get("assumed_sizes", {}))
    plain["assumed_sizes"] = ", ".join(f"{name} {value}" for name, value in assumed.items()) or None
    guesses = cast(dict[str, Cell], found.get("speculation", {}))
    plain |= {column: guesses[name] for column, name in _SPECULATED.items() if guesses}
    plain |= {"acceptance": guesses["acceptance"]} if guesses else {}
    return {**plain, **{f"{kind}_cycles": kinds.get(kind, 0.0) for kind in _KINDS}}


def to_csv(found: Sequence[Row], path: str | Path | None = None) -> str:
    """Rows as CSV with a header line; written to a file, too, if one is named."""
    text = csv_head() + "".join(map(csv_line, found))
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def csv_head() -> str:
    """The line of the columns' names."""
    return _line(COLUMNS)


def csv_line(row: Row) -> str:
    """One row."""
    return _line(["" if row[name] is None else str(row[name]) for name in COLUMNS])


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
