"""Chooses how many tokens of a prompt a program takes together: as fast as the wafers allow that it is given.

A larger chunk spends less on each weight, and takes more of every core's memory, so that regions become larger or
wafers more. Without a number of wafers it is the fewest on which chunks of `LEAST` tokens fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from undiced.compiler.wafer.offers import longest_context, wafers_needed
from undiced.compiler.wafer.search import compile_graph, dense
from undiced.compiler.wafer.task import WAFERS_MAX, Options, Task
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program.wafer.program import WaferProgram

SIZES = (64, 48, 32, 24, 16, 8, 4)
LEAST = 16
Told = Callable[[float, str], None]
Speed = Callable[[WaferProgram], float]  # tokens of a prompt a cycle


def compile_chunked(
    graph: Graph, wafer: Wafer, options: Options, speed: Speed, progress: Told | None = None
) -> WaferProgram:
    """The program with the chunk that is fastest for prompts.

    Raises:
        CompileError: no chunk fits, though single tokens may; or an operator without a lowering.
    """
    options = replace(options, phase="prefill", objective="interval")
    told = progress or (lambda share, what: None)
    found: list[WaferProgram] = []
    if options.wafers is None:
        least, _ = _leanest(graph, wafer, replace(options, chunk=LEAST))
        found.append(compile_graph(graph, wafer, least, _part(told, 0.0, 0.5)))
        options = replace(options, wafers=found[0].wafers)
    tried = [size for size in SIZES if not found or size > LEAST]
    sized = [_leanest(graph, wafer, replace(options, chunk=size)) for size in tried]
    fitting = [each for each, needed in sized if 0 < needed <= (options.wafers or 0)]
    for number, each in enumerate(fitting[:2]):
        start = 0.5 + 0.25 * number
        try:
            found.append(compile_graph(graph, wafer, each, _part(told, start, start + 0.25)))
        except CompileError:
            continue
    if not found:
        raise _refusal(graph, wafer, options)
    return max(found, key=speed)


def _part(told: Told, start: float, end: float) -> Told:
    return lambda share, what: told(start + (end - start) * share, what)


def _leanest(graph: Graph, wafer: Wafer, options: Options) -> tuple[Options, int]:
    """The fewest sub-bands with which a chunk fits on the fewest wafers, and how many those are (0: on none).

    Scores of long contexts are what a chunk has most of; with more sub-bands each has those of fewer heads, and more of
    every head's keys and values.
    """
    group = graph.config.heads // graph.config.kv_heads
    found: list[tuple[Options, int]] = []
    for count in (1, 2, 4, 8):
        if count <= max(group, 1):
            each = replace(options, choices=replace(options.choices, sub_bands=count))
            task = Task.of(graph, wafer, each)
            found.append((each, min((n for s in dense(task) if (n := wafers_needed(task, s))), default=0)))
    return min(found, key=lambda one: one[1] or WAFERS_MAX)


def _refusal(graph: Graph, wafer: Wafer, options: Options) -> CompileError:
    """What fits instead: more wafers, fewer positions, or single tokens."""
    assert options.wafers is not None
    chunk, wanted = SIZES[-1], options.bounds.context
    least = replace(options, chunk=chunk)
    task = Task.of(graph, wafer, least)
    needed = [n for shape in dense(task) if (n := wafers_needed(task, shape))]
    room = longest_context(task, dense(task), options.wafers, 0)
    offers = [option("wafers", min(needed))] if needed else []
    offers += [option("context", room)] if room else []
    if not options.alone and 0 < _leanest(graph, wafer, replace(options, chunk=1))[1] <= options.wafers:
        offers.append(f"{option('chunk', 1)}, which takes prompts token by token")
    where = f"{graph.config.name} on {options.wafers} x {wafer.name}"
    what = f"{where} leaves no room for a chunk of {chunk} tokens at context {wanted}."
    if room:
        held = f"{where} holds the keys and values of {room} positions, not of {wanted}."
        what = f"Beside a chunk of {chunk} tokens, {held}"
    return CompileError(what, remedy=f"What fits: {', or '.join(offers)}." if offers else "Use a larger machine.")
