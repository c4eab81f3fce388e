"""partition and place are short on a host: one stage holds every layer, a team has a core per thread."""

from __future__ import annotations

from undiced.compiler.host.draft import Draft
from undiced.core.errors import CompileError
from undiced.core.formats import FORMATS
from undiced.core.option import option
from undiced.program import HostProgram
from undiced.program.host.instruction import Matmul
from undiced.program.host.latent_instruction import HeadMatmul
from undiced.program.host.verify import verify


def partition(draft: Draft) -> None:
    """Checks that the bounds are ones the model can serve.

    Raises:
        CompileError: no sequences, or a context that the model was not trained for.
    """
    bounds, config = draft.bounds, draft.graph.config
    if bounds.batch < 1:
        raise CompileError(
            "A program must hold at least one sequence.", remedy=f"Use {option('max_batch', 1)} or more."
        )
    if not 1 <= bounds.context <= config.context:
        raise CompileError(
            f"{config.name} has a context of {config.context} positions; {bounds.context} was asked for.",
            remedy=f"Use {option('max_context', config.context)} or less.",
        )


def place(draft: Draft) -> None:
    """A team of cores, all running the same instructions."""
    draft.cores = draft.machine.threads


def finish(draft: Draft) -> HostProgram:
    """The frozen program."""
    graph, operands = draft.graph, draft.operands
    program = HostProgram(
        model=graph.config.name,
        machine=draft.machine.name,
        graph_digest=graph.digest,
        machine_digest=draft.machine.digest,
        bounds=draft.bounds,
        cores=draft.cores,
        buffers=operands.buffers,
        slots=operands.slots,
        kv=operands.kv,
        vocab=operands.vocab,
        constants=operands.constants,
        instrs=tuple(draft.instrs),
        facts=_facts(draft),
    )
    verify(program)
    return program


def _facts(draft: Draft) -> tuple[tuple[str, float], ...]:
    """Bytes and operations of one decoded token at batch 1, without attention: what the physical limit is made of."""
    resident = {slot.name: FORMATS[slot.format].file_bytes(slot.rows * slot.columns) for slot in draft.graph.slots}
    names = [slot.name for slot in draft.graph.slots]
    products = [names[i.weight] for i in draft.instrs if isinstance(i, (Matmul, HeadMatmul))]
    sizes = {slot.name: slot.rows * slot.columns for slot in draft.graph.slots}
    return (
        ("weight_bytes", float(sum(resident.values()))),
        ("matmul_bytes_per_token", float(sum(resident[n] for n in products))),
        ("matmul_macs_per_token", float(sum(sizes[n] for n in products))),
        ("layer_matmul_macs_per_token", float(sum(sizes[n] for n in _token_products(draft, names)))),
    )


def _token_products(draft: Draft, names: list[str]) -> list[str]:
    """Slots that every prompt token is multiplied with; the head and most of the last layer see sampled rows only."""
    products = (i for i in draft.instrs if isinstance(i, (Matmul, HeadMatmul)))
    return [names[i.weight] for i in products if draft.buffers[i.dst].rows == "tokens"]
