"""Compiling a graph for the host, a machine of a few big cores.

Read `PASSES` and you know the compiler. A pass takes the draft and fills in what it decides. The program is held
against the instruction table; if it breaks a rule, what each pass leaves is, to name the one that broke it.
"""

from __future__ import annotations

from collections.abc import Callable

from undiced.compiler.host.draft import Draft
from undiced.compiler.host.memory import plan_memory
from undiced.compiler.host.place import finish, partition, place
from undiced.compiler.host.route import route
from undiced.compiler.host.shard import shard
from undiced.core.errors import CompileError
from undiced.core.kv_type import KvType
from undiced.machine.host import Host
from undiced.model import Graph
from undiced.program import Bounds, HostProgram
from undiced.program.host.verify import verify_instrs

Pass = Callable[[Draft], None]

# partition: one stage holds all layers.          shard: each node becomes instructions with a partition over cores.
# place: a team has a core per thread.              plan_memory: values share buffers once they are dead.
# route: barriers where data crosses threads, and an order of instructions that needs few.
PASSES: tuple[Pass, ...] = (partition, shard, place, plan_memory, route)


def compile_host(graph: Graph, machine: Host, bounds: Bounds, kv_type: KvType = "f16") -> HostProgram:
    """The program that the thread team runs, with a KV cache of that type.

    Raises:
        UnsupportedError: the graph has an operator that the host can't run yet, or can't run with that cache.
        CompileError: bounds beyond the model's context, or a graph that breaks a rule.
    """
    graph.verify()
    try:
        return finish(_drafted(graph, machine, bounds, kv_type))
    except Exception:
        _drafted(graph, machine, bounds, kv_type, _verify)
        raise


def _drafted(
    graph: Graph,
    machine: Host,
    bounds: Bounds,
    kv_type: KvType,
    after: Callable[[Draft, Pass], None] = lambda draft, step: None,
) -> Draft:
    """What the passes make. after: is called behind each of them."""
    draft = Draft(graph, machine, bounds, kv_type)
    for step in PASSES:
        step(draft)
        after(draft, step)
    return draft


def _verify(draft: Draft, step: Pass) -> None:
    try:
        verify_instrs(draft.instrs, draft.operands)
    except CompileError as error:
        raise CompileError(f"After {step.__name__}: {error.message}") from None
