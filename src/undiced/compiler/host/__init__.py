"""Compiling a graph for the host: the same six passes as for a wafer, on a machine of a few big cores.

Read `PASSES` and you know the compiler. A pass takes the draft and fills in what it decides.
"""

from __future__ import annotations

from collections.abc import Callable

from undiced.compiler.host.draft import Draft
from undiced.compiler.host.memory import plan_memory
from undiced.compiler.host.place import finish, partition, place
from undiced.compiler.host.route import route
from undiced.compiler.host.shard import shard
from undiced.machine.host import Host
from undiced.model import Graph
from undiced.program import Bounds, Program

Pass = Callable[[Draft], None]

# partition: one stage holds all layers.          shard: each node becomes instructions with a partition over cores.
# place: one region, a core per thread.              plan_memory: values share buffers once they are dead.
# route: barriers where data crosses threads.      Instruction order is the graph's, so there is no schedule to search.
PASSES: tuple[Pass, ...] = (partition, shard, place, plan_memory, route)


def compile_host(graph: Graph, machine: Host, bounds: Bounds) -> Program:
    """The program that the thread team runs.

    Raises:
        UnsupportedError: the graph has an operator that the host can't run yet.
        CompileError: bounds beyond the model's context, or a graph that breaks a rule.
    """
    graph.verify()
    draft = Draft(graph, machine, bounds)
    for step in PASSES:
        step(draft)
    return finish(draft)
