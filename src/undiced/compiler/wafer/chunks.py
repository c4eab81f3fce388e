"""Chooses how many tokens of a prompt a program takes together: as fast as the wafers allow that it is given.

A larger chunk spends less on each weight, and takes more of every core's memory, so that regions become larger or
wafers more. Without a number of wafers it is the fewest on which chunks of `LEAST` tokens fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from undiced.compiler.wafer.offers import longest_context, wafers_needed
from undiced.compiler.wafer.search import compile_graph, dense
from undiced.compiler.wafer.task import Options, Task
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
        found.append(compile_graph(graph, wafer, replace(options, chunk=LEAST), _part(told, 0.0, 0.5)))
        options = replace(options, wafers=found[0].wafers)
    tried = [size for size in SIZES if not found or size > LEAST]
    fitting = [size for size in tried if _fits(graph, wafer, replace(options, chunk=size))]
    for number, size in enumerate(fitting[:2]):
        start = 0.5 + 0.25 * number
        try:
            found.append(compile_graph(graph, wafer, replace(options, chunk=size), _part(told, start, start + 0.25)))
        except CompileError:
            continue
    if not found:
        raise _refusal(graph, wafer, options)
    return max(found, key=speed)


def _part(told: Told, start: float, end: float) -> Told:
    return lambda share, what: told(start + (end - start) * share, what)


def _fits(graph: Graph, wafer: Wafer, options: Options) -> bool:
    """Whether some shape that wastes little memory holds the model and so large a chunk."""
    task = Task.of(graph, wafer, options)
    assert options.wafers is not None
    return any(0 < wafers_needed(task, shape) <= options.wafers for shape in dense(task))


def _refusal(graph: Graph, wafer: Wafer, options: Options) -> CompileError:
    """What single tokens take, if they fit."""
    least = SIZES[-1]
    task = Task.of(graph, wafer, replace(options, wafers=None, chunk=least))
    needed = [wafers_needed(task, shape) for shape in dense(task)]
    offers = [option("wafers", min(filter(None, needed)))] if any(needed) else []
    if not options.alone:
        offers.append(f"{option('chunk', 1)}, which takes prompts token by token")
    where, wanted = f"{graph.config.name} on {options.wafers} x {wafer.name}", options.bounds.context
    assert options.wafers is not None
    room = longest_context(task, dense(task), options.wafers, 0)
    if room:
        what = (
            f"Beside a chunk of {least} tokens, {where} holds the keys and values of {room} positions, not of {wanted}."
        )
        offers.append(option("context", room))
    else:
        what = f"{where} leaves no room for a chunk of {least} tokens at context {wanted}."
    return CompileError(what, remedy=f"What fits: {', or '.join(offers)}.")
