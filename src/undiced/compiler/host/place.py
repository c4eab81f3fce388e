"""partition and place are short on a host: one stage holds every layer, one region has a core per thread."""

from __future__ import annotations

from undiced.compiler.host.draft import Draft
from undiced.core.errors import CompileError
from undiced.core.formats import FORMATS
from undiced.program import Instr, Op, Program, Rect, Region, Stream
from undiced.program.isa import NONE
from undiced.program.verify import verify


def partition(draft: Draft) -> None:
    """Checks that the bounds are ones the model can serve.

    Raises:
        CompileError: no sequences, or a context that the model was not trained for.
    """
    bounds, config = draft.bounds, draft.graph.config
    if bounds.batch < 1:
        raise CompileError("A program must hold at least one sequence.", remedy="Raise --max-batch.")
    if not 1 <= bounds.context <= config.context:
        raise CompileError(
            f"{config.name} has a context of {config.context} positions; {bounds.context} was asked for.",
            remedy=f"Use --max-context {config.context} or less.",
        )


def place(draft: Draft) -> None:
    """One row of cores, all running the same stream."""
    draft.regions = [Region(Rect(0, 0, draft.machine.threads, 1), name="team")]


def finish(draft: Draft) -> Program:
    """The frozen program."""
    graph = draft.graph
    program = Program(
        kind="host",
        model=graph.config.name,
        machine=draft.machine.name,
        graph_digest=graph.digest,
        machine_digest=draft.machine.digest,
        bounds=draft.bounds,
        regions=tuple(draft.regions),
        streams=(Stream("step", tuple(draft.instrs)),),
        buffers=tuple(draft.buffers),
        slots=graph.slots,
        kv=tuple(draft.kv[layer] for layer in sorted(draft.kv)),
        vocab=graph.config.vocab,
        constants=tuple(draft.constants),
        facts=_facts(draft),
    )
    verify(program)
    return program


def _facts(draft: Draft) -> tuple[tuple[str, float], ...]:
    """Bytes and operations of one decoded token at batch 1, without attention: what the physical limit is made of."""
    resident = {slot.name: FORMATS[slot.format].file_bytes(slot.rows * slot.columns) for slot in draft.graph.slots}
    names = [slot.name for slot in draft.graph.slots]
    products = [names[i.weight] for i in draft.instrs if i.op is Op.MATMUL and i.weight != NONE]
    sizes = {slot.name: slot.rows * slot.columns for slot in draft.graph.slots}
    return (
        ("weight_bytes", float(sum(resident.values()))),
        ("matmul_bytes_per_token", float(sum(resident[n] for n in products))),
        ("matmul_macs_per_token", float(sum(sizes[n] for n in products))),
        ("layer_matmul_macs_per_token", float(sum(sizes[n] for n in _layer_products(draft.instrs, names)))),
    )


def _layer_products(instrs: list[Instr], names: list[str]) -> list[str]:
    """Slots that every prompt token is multiplied with; the head sees sampled rows only."""
    return [names[i.weight] for i in instrs if i.op is Op.MATMUL and i.layer >= 0]
