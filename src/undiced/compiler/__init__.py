"""Where what meets where: compiles a graph for a machine, a host or wafers."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from undiced.compiler.host import compile_host
from undiced.core.kv_type import KvType
from undiced.machine.host import Host

if TYPE_CHECKING:
    from undiced.machine.wafer import Wafer
    from undiced.model import Graph
    from undiced.program import Bounds, HostProgram
    from undiced.program.wafer.program import WaferProgram

__all__ = ["compile"]


@overload
def compile(graph: Graph, machine: Host, bounds: Bounds, kv_type: KvType = "f16") -> HostProgram: ...
@overload
def compile(graph: Graph, machine: Wafer, bounds: Bounds) -> WaferProgram: ...
def compile(graph: Graph, machine: Host | Wafer, bounds: Bounds, kv_type: KvType = "f16") -> HostProgram | WaferProgram:
    """The program that computes `graph` on `machine` within `bounds`; on a host with a KV cache of that type.

    A wafer program is our mapping for one user's latency on the fewest wafers; `undiced.compiler.wafer` has the rest.

    Raises:
        CompileError: it does not fit; the message says what would. Or an operator that wafers have no lowering for.
        UnsupportedError: an operator that a host can't run yet.
    """
    if isinstance(machine, Host):
        return compile_host(graph, machine, bounds, kv_type)
    from undiced.compiler.wafer.asked import choices_of, weights_of
    from undiced.compiler.wafer.search import compile_graph
    from undiced.compiler.wafer.task import Options

    graph.verify()
    return compile_graph(graph, machine, Options(bounds=bounds, choices=choices_of({"weights": weights_of(graph)})))
