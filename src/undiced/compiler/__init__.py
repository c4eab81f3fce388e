"""Where what meets where: compiles a graph for a machine, a host or wafers."""

from __future__ import annotations

from collections import Counter
from typing import overload

from undiced.compiler.host import compile_host
from undiced.core.formats import FORMATS
from undiced.machine.host import Host
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program import Bounds, HostProgram, Program

__all__ = ["compile"]


@overload
def compile(graph: Graph, machine: Host, bounds: Bounds) -> HostProgram: ...
@overload
def compile(graph: Graph, machine: Wafer, bounds: Bounds) -> Program: ...
def compile(graph: Graph, machine: Host | Wafer, bounds: Bounds) -> HostProgram | Program:
    """The program that computes `graph` on `machine` within `bounds`.

    A wafer program is our mapping for one user's latency on the fewest wafers; `undiced.compiler.wafer` has the rest.

    Raises:
        CompileError: it does not fit; the message says what would.
        UnsupportedError: an operator that this kind of machine can't run yet.
    """
    if isinstance(machine, Host):
        return compile_host(graph, machine, bounds)
    from undiced.compiler.wafer.compile import compile_wafer
    from undiced.compiler.wafer.options import Options
    from undiced.compiler.wafer.scheme import scheme_of

    graph.verify()
    scheme = scheme_of({"weights": _wafer_weights(graph)})
    return compile_wafer(graph, machine, Options(bounds=bounds, scheme=scheme))


def _wafer_weights(graph: Graph) -> str:
    """The wafer's format for what most of the graph's weights are stored in: bf16, int8 or int4."""
    counts: Counter[str] = Counter()
    for slot in graph.slots:
        form = FORMATS[slot.format]
        bits = 8 * form.block_bytes / form.block
        counts["bf16" if bits >= 16 else "int8" if bits > 5 else "int4"] += slot.rows * slot.columns
    return counts.most_common(1)[0][0]
