"""Chooses how many tokens of a prompt a program takes together: as fast as the wafers allow that it is given.

A larger chunk spends less on each weight, and takes more of every core's memory, so that regions become larger or
wafers more. Without a number of wafers it is the fewest on which chunks of `LEAST` tokens fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from undiced.compiler.wafer.offers import fewest_wafers, held, longest_context
from undiced.compiler.wafer.search import compile_graph, dense
from undiced.compiler.wafer.task import Options, Task
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program.wafer.program import WaferProgram

SIZES = (64, 48, 32, 24, 16, 8, 4)
LEAST = (16, 8, 4)  # the first of which fits decides how many wafers are taken
_SMALL = (8, 4)  # leaves room for small regions, of which many are at work
_SPARED = 1.3  # wafers that the rest takes for one, before heads go one by one, which is slower
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
        least = (_leanest(graph, wafer, replace(options, chunk=size)) for size in LEAST)
        first = next((each for each, needed in least if needed), replace(options, chunk=LEAST[-1]))
        found.append(compile_graph(graph, wafer, first, _part(told, 0.0, 0.5)))
        options = replace(options, wafers=found[0].wafers)
    tried = [size for size in SIZES if not found or size != found[0].chunk]
    sized = [_leanest(graph, wafer, replace(options, chunk=size)) for size in tried]
    fitting = [each for each, needed in sized if needed]
    together = [each for each in fitting if not each.choices.head_by_head]
    likely = [*together[:1], *fitting[:1], *(each for each in together if each.chunk in _SMALL)]
    for number, each in enumerate(dict.fromkeys(likely)):
        start = 0.5 + 0.5 * number / len(likely)
        try:
            found.append(compile_graph(graph, wafer, each, _part(told, start, start + 0.5 / len(likely))))
        except CompileError:
            continue
    if not found:
        raise _refusal(graph, wafer, options)
    return max(found, key=speed)


def _part(told: Told, start: float, end: float) -> Told:
    return lambda share, what: told(start + (end - start) * share, what)


def _leanest(graph: Graph, wafer: Wafer, options: Options) -> tuple[Options, int]:
    """How heads lie so that a chunk fits on the wafers, or on the fewest, and how many it takes (0: more, or none do).

    Scores of long contexts are what a chunk has most of. With more sub-bands each has those of fewer heads, and more of
    every head's keys and values; head by head there are those of one, and more steps.
    """
    group = graph.config.heads // graph.config.kv_heads
    ways = [(count, False) for count in (1, 2, 4, 8) if count <= max(group, 1)] + [(1, True)]
    found: list[tuple[float, Options, int]] = []
    for count, apart in ways:
        each = replace(options, choices=replace(options.choices, sub_bands=count, head_by_head=apart))
        task = Task.of(graph, wafer, each)
        needed = fewest_wafers(task, dense(task)) or 0
        if options.wafers is not None and 0 < needed <= options.wafers:
            return each, needed
        if needed and options.wafers is None:
            found.append((needed * (_SPARED if apart else 1.0), each, needed))
    _, best, needed = min(found, key=lambda one: one[0], default=(0.0, options, 0))
    return best, needed


def _refusal(graph: Graph, wafer: Wafer, options: Options) -> CompileError:
    """What fits instead: more wafers, fewer positions, or single tokens."""
    assert options.wafers is not None
    chunk, wanted = SIZES[-1], options.bounds.context
    task = Task.of(graph, wafer, replace(options, chunk=chunk))
    shapes = dense(task)
    needed, room = fewest_wafers(task, shapes), longest_context(task, shapes, options.wafers, 0)
    offers = [option("wafers", needed)] if needed else []
    offers += [option("context", room)] if room else []
    if not options.alone and _leanest(graph, wafer, replace(options, chunk=1))[1]:
        offers.append(f"{option('chunk', 1)}, which takes prompts token by token")
    where = f"{graph.config.name} on {options.wafers} x {wafer.name}"
    what = f"Beside a chunk of {chunk} tokens, {where} holds {held(room, wanted)}."
    return CompileError(what, remedy=f"What fits: {', or '.join(offers)}." if offers else "Use a larger machine.")
