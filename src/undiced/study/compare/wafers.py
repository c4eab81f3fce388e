"""The side of the wafers: our mapping for each objective, and published ones where they have a program of the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from undiced.core.errors import CompileError
from undiced.machine.interval import Interval
from undiced.machine.prices import PRICES
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.step import Step
from undiced.sim.clock import time_floor
from undiced.study.compare.asked import Asked
from undiced.study.compare.point import Point, Way
from undiced.study.cost import held_streams
from undiced.study.question import OURS, Placed, Question, place
from undiced.study.variants import Progress, Variants

_BENCHMARK = "its benchmark: one layer of one head resident, run as often as there are layers; no head"
_EVERY = 4  # sequences in flight, by powers of


@dataclass(frozen=True, slots=True)
class Missing:
    """A way that is not compared, and why."""

    what: str
    why: str


def wafer_points(asked: Asked, over: Variants, progress: Progress) -> tuple[list[Point], list[Missing]]:
    """Every placement with every number of sequences that its memory holds; and what does not fit."""
    found: list[Point] = []
    missing: list[Missing] = []
    questions = list(_questions(asked))
    for number, question in enumerate(questions):
        what = _how(question)
        tell = lambda share, _, n=number, w=what: progress((n + 0.8 * share) / len(questions), f"Placing: {w}")  # noqa: E731
        try:
            placed = place(question, tell)
        except CompileError as error:
            missing.append(Missing(what, str(error)))
            continue
        progress((number + 0.8) / len(questions), f"Timing: {what}")
        found += _points(asked, question, placed, over)
    return found, missing


def _questions(asked: Asked) -> Iterator[Question]:
    for wafers in asked.wafers or (None,):
        for objective in ("latency", "interval"):
            yield asked.question(objective=objective, wafers=wafers)
        yield asked.question(wafers=wafers, phase="prefill")
    yield asked.question("waferengine")
    yield asked.question("waferllm")


def _how(question: Question) -> str:
    if question.mapping != OURS:
        return question.mapping
    return f"undiced, {'prompts' if question.phase == 'prefill' else question.objective}"


def _points(asked: Asked, question: Question, placed: Placed, over: Variants) -> Iterator[Point]:
    program, wafer = placed.program, placed.wafer
    low, high = PRICES.system_price.span
    way = Way(
        "wafers",
        f"{program.wafers} x {wafer.name}",
        _how(question),
        _how(question),
        wafer.system.power_w.value * program.wafers,
        (low * program.wafers, high * program.wafers),
        _note(program, question),
    )
    timings = over.time(program, asked.context)
    floor = time_floor(program, wafer, Step(1, 1, asked.context), over.ends_hz[1]).tokens_per_second
    first = None if question.mapping == "waferllm" else Interval.of(over.prompt_s(program, asked.context))
    for streams in in_flight(program, asked):
        total = timings.tokens_per_second(streams)
        yield Point(way, streams, Interval.of(total / streams), Interval.of(total), first, floor)


def _note(program: WaferProgram, question: Question) -> str:
    if question.mapping == "waferllm":
        return _BENCHMARK
    return f"prompts in chunks of {program.chunk} tokens" if program.chunk > 1 else ""


def in_flight(program: WaferProgram, asked: Asked) -> list[int]:
    """Numbers of sequences whose keys and values the program holds."""
    held = held_streams(program, asked.context)
    if asked.batches:
        return [each for each in asked.batches if each <= held]
    return sorted({*powers(held), held})


def powers(most: int) -> list[int]:
    """1, 4, 16, ... up to a number."""
    found = [1]
    while found[-1] * _EVERY <= most:
        found.append(found[-1] * _EVERY)
    return found
