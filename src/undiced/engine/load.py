"""From a program file and a checkpoint reference to a running backend: what the engine process does first.

Knows how to open each part; knows nothing of sockets or scheduling. Another backend is another function of the same
signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced.engine.backend import Backend


def _silent(fraction: float, what: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """What a backend is made of.

    Attributes:
        program: path of a compiled program.
        checkpoint: catalog name, GGUF file or Hugging Face folder.
        threads: of the team. pages: KV pages, or None for what fits. max_tokens: tokens in one step. isa: forced
            instruction set, or "".
        progress: called with (share done from 0 to 1, what is being done).
    """

    program: str
    checkpoint: str
    threads: int = 1
    pages: int | None = None
    max_tokens: int = 256
    isa: str = ""
    progress: Callable[[float, str], None] = _silent


def open_host(options: BackendOptions) -> Backend:
    """The host backend with its weights resident.

    Raises:
        UndicedError: the program or the checkpoint cannot be used; says which and why.
    """
    from undiced.checkpoint import open_checkpoint
    from undiced.engine.host import HostBackend
    from undiced.program.program import load

    program = load(Path(options.program))
    checkpoint = open_checkpoint(options.checkpoint)
    backend: Backend = HostBackend(
        program,
        checkpoint,
        threads=options.threads,
        pages=options.pages,
        max_tokens=options.max_tokens,
        isa=options.isa,
        progress=lambda done, total: options.progress(done / max(1, total), "packing weights"),
    )
    return backend
