"""Where what meets where: compiles a graph for a machine, a host or wafers."""

from __future__ import annotations

from undiced.compiler.host import compile_host
from undiced.machine.host import Host
from undiced.model import Graph
from undiced.program import Bounds, Program

__all__ = ["compile"]


def compile(graph: Graph, machine: Host, bounds: Bounds) -> Program:
    """The program that computes `graph` on `machine` within `bounds`.

    Raises:
        CompileError: it does not fit; the message says what would.
        UnsupportedError: an operator that this kind of machine can't run yet.
    """
    return compile_host(graph, machine, bounds)
