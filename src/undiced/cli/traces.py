"""The values of a graph's nodes as different executors compute them: the interpreter, a host program, a wafer program.

Values correspond by the names of the graph's nodes. What an executor does not compute by itself (it fuses a sum into a
product, or lets a norm wait for one) is missing from its trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from undiced.program import Bounds, HostProgram
from undiced.program.host.instr import Instr
from undiced.program.host.instruction import Barrier, Gather, Instruction, Scale

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.cli.emulation import Meshed
    from undiced.engine.backend import StepInput
    from undiced.model import Graph, Node
    from undiced.program.wafer.value import Value, Weights
    from undiced.sim.mesh.rounding import Numbers

F32 = NDArray[np.float32]
Trace = dict[str, F32]  # node's value (tokens, width) by its name
_HOST_TOKENS = 32  # of a step: as many rows can be scored
_SAME_COLUMNS = ("rope", "rmsnorm", "position_scale")  # operators whose result has its input's order of columns


def trace_graph(graph: Graph, checkpoint: Checkpoint, tokens: Sequence[int]) -> Trace:
    """What the graph interpreter computes, in float32."""
    from undiced.model import KvState, load_weights, run_graph

    found: Trace = {}

    def watch(node: Node, value: F32) -> None:
        found[node.out] = value

    run_graph(graph, load_weights(graph, checkpoint), tokens, KvState(), watch)
    return found


def trace_mesh(meshed: Meshed, numbers: Numbers, tokens: Sequence[int]) -> Trace:
    """What the wafer program computes, in the graph's order of columns and without what weights were scaled by."""
    from undiced.compiler.wafer.lower.lowering import layered
    from undiced.sim.mesh.capture import Capture

    executor = meshed.executor(numbers)
    names = {layered(node.out)[0]: node for node in meshed.graph.nodes}
    capture = Capture(names)
    most = min(executor.most_tokens, executor.most_tokens_each)
    for at in range(0, len(tokens), most):
        executor.step([(0, tokens[at : at + most])], capture)
    widths = {view.node.out: width for view, width in meshed.graph.views()}
    nodes = {node.out: node for node in meshed.graph.nodes}
    found: Trace = {}
    for (layer, name), value in capture.kept.items():
        out = f"layers.{layer}.{name}" if layer >= 0 else name
        if out in widths:
            held = _columns(nodes, nodes[out], capture.values[layer, name])
            whole = value if held is None else _restored(value, held, capture.values[layer, name][name])
            if whole.size == len(tokens) * widths[out]:
                found[out] = whole.reshape(len(tokens), widths[out])
    return found


def _columns(nodes: Mapping[str, Node], node: Node, values: Mapping[str, Value]) -> Weights | None:
    """The weights that a value's columns come from, if they say anything of them."""
    from undiced.compiler.wafer.lower.lowering import layered

    while node.op in _SAME_COLUMNS and node.ins[0] in nodes:
        node = nodes[node.ins[0]]
    if node.op != "linear":
        return None
    role = layered(node.weights[0])[0]
    return next((v.weights for v in values.values() if v.weights is not None and v.weights.role == role), None)


def _restored(value: F32, held: Weights, declared: Value) -> F32:
    """(tokens, ..., columns of a head) in the checkpoint's order and scale."""
    made = value / np.float32(held.scale)
    names = [dim.name for dim in declared.dims]
    if not held.columns or names[-len(held.picked) :] != list(held.picked):
        return made
    heads = made.reshape(*made.shape[: -len(held.picked)], -1)
    if heads.shape[-1] != len(held.columns):
        return made
    restored = np.empty_like(heads)
    restored[..., list(held.columns)] = heads
    return restored


def trace_host(checkpoint: Checkpoint, graph: Graph, tokens: Sequence[int]) -> Trace:
    """What the host's thread team computes, activations quantized as it does."""
    from undiced.compiler.host import compile_host
    from undiced.engine.host import HostBackend
    from undiced.machine.host import host

    program = compile_host(graph, host(None), Bounds(1, max(len(tokens), 16)))
    program, taps = tapped(program, graph)
    backend = HostBackend(program, checkpoint, max_tokens=_HOST_TOKENS)
    pieces: dict[str, list[F32]] = {name: [] for name in taps}
    try:
        for at in range(0, len(tokens), _HOST_TOKENS):
            backend.collect(backend.submit(_host_step(tokens[at : at + _HOST_TOKENS], at, program.bounds.context)))
            for name, (buffer, columns) in taps.items():
                pieces[name].append(backend.buffer(buffer)[:, columns])
    finally:
        backend.close()
    return {name: np.concatenate(found) for name, found in pieces.items()}


def _host_step(tokens: Sequence[int], at: int, context: int) -> StepInput:
    """Further tokens of the only sequence, all of them scored."""
    from undiced.engine.backend import PAGE_TOKENS, StepInput
    from undiced.engine.record import greedy

    count = len(tokens)
    rows = np.arange(count, dtype=np.int32)
    pages = np.arange(-(-context // PAGE_TOKENS), dtype=np.int32)[None]
    sampling = greedy(np.zeros(count, np.int32))
    sampling["target"][:-1] = tokens[1:]
    ids, starts = np.array(tokens, np.int32), np.array([0, count], np.int32)
    return StepInput(ids, at + rows, starts, np.zeros(1, np.int32), pages, rows, sampling)


def tapped(program: HostProgram, graph: Graph) -> tuple[HostProgram, dict[str, tuple[int, slice]]]:
    """A host program that copies every node's value into a buffer of its own; and in which buffer and columns each is.

    What comes behind the layers is nobody else's afterwards and stays where it is.
    """
    widths = {view.node.out: width for view, width in graph.views()}
    buffers, taps = list(program.buffers), dict[str, tuple[int, slice]]()
    instrs: list[Instruction] = []
    for instr in program.instrs:
        instrs.append(instr)
        name, written = _computed(instr, graph), instr.writes()
        if name not in widths or not written or isinstance(instr, Gather):
            continue
        where, start, _ = written[0]
        target = program.buffers[where]
        if target.kind != "f32":
            continue
        if target.rows == "tokens" or instr.layer >= 0:
            copy = Scale(dst=len(buffers), a=where, columns=target.width, factor=1.0)
            where = len(buffers)
            buffers.append(replace(target, name=f"tap {where}", own=False))
            instrs += [Barrier(), copy, Barrier()]
        taps[name] = (where, slice(start, start + widths[name]))
    return replace(program, instrs=tuple(instrs), buffers=tuple(buffers)), taps


def _computed(instr: Instr, graph: Graph) -> str:
    """The node whose value an instruction's destination has afterwards: of a product that adds to what is there, the
    sum's.
    """
    node = next((node for node in graph.nodes if node.out == instr.note), None)
    if node is None or not instr.adds or node.op == "position_embed":
        return instr.note
    return next((user.out for user in graph.nodes if user.op == "add" and node.out in user.ins), "")
