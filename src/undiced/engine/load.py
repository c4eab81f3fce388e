"""From a compiled program and a checkpoint reference to a running backend: what the engine process does first.

Knows how to open each part; knows nothing of sockets or scheduling. Another backend is another function of the same
signature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.errors import CheckpointError, ProgramFileError, UnsupportedError

if TYPE_CHECKING:
    from undiced.engine.backend import Backend
    from undiced.engine.host import HostBackend

Progress = Callable[[float, str], None]  # share done from 0 to 1, what is being done
_RESTART = "Start the server again to serve what is there now."


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """What a backend is made of. Plain data: it travels to the engine process as JSON.

    Attributes:
        program: a compiled program as `Program.encoded` has it; program_digest: its digest, or "".
        checkpoint: catalog name, GGUF file or Hugging Face folder; checkpoint_digest: its digest, or "".
        identity: of the checkpoint's files, see `checkpoint.identity`, or "". A backend that is opened with digests or
            an identity refuses other weights than those.
        threads: of the team. pages: KV pages, or None for what fits. max_tokens: tokens in one step, or None for what
            suits the team. isa: forced instruction set, or "".
    """

    program: bytes = b""
    program_digest: str = ""
    checkpoint: str = ""
    checkpoint_digest: str = ""
    identity: str = ""
    threads: int = 1
    pages: int | None = None
    max_tokens: int | None = None
    isa: str = ""


def open_host(options: BackendOptions, progress: Progress) -> Backend:
    """The host backend with its weights resident.

    Raises:
        UndicedError: the program or the checkpoint cannot be used, or is not the one that was promised; says which and
            why.
    """
    return _opened(options, progress, None)


def open_draft(options: BackendOptions, progress: Progress, target: Backend) -> Backend:
    """The host backend of a draft model, on the threads of the model that it guesses for.

    Raises what `open_host` raises.
    """
    from undiced.engine.host import HostBackend

    return _opened(options, progress, target if isinstance(target, HostBackend) else None)


def _opened(options: BackendOptions, progress: Progress, team: HostBackend | None) -> HostBackend:
    from undiced.checkpoint import open_checkpoint
    from undiced.engine.host import HostBackend
    from undiced.engine.kept import KeptWeights
    from undiced.program import HostProgram
    from undiced.program.file import decode

    program = decode(options.program, "The program")
    if not isinstance(program, HostProgram):
        raise UnsupportedError(
            f"A program for {program.machine} can't run on this machine.", remedy="`undiced simulate` times it."
        )
    if options.program_digest not in ("", program.digest):
        raise ProgramFileError("The program is not the one that was compiled.", remedy=_RESTART)
    _check_files(options)
    checkpoint = open_checkpoint(options.checkpoint)
    if options.checkpoint_digest not in ("", checkpoint.digest):
        raise _changed(checkpoint.name)
    backend = HostBackend(
        program,
        checkpoint,
        threads=options.threads,
        pages=options.pages,
        max_tokens=options.max_tokens,
        isa=options.isa,
        progress=lambda done, total: progress(done / max(1, total), "packing weights"),
        team=team,
        kept=KeptWeights(checkpoint, program.slots),
    )
    _check_files(options)  # somebody may have written to them meanwhile
    backend.warm_up()
    return backend


def _check_files(options: BackendOptions) -> None:
    from undiced.checkpoint.identity import identity

    path = Path(options.checkpoint)
    if options.identity not in ("", identity(path) if options.identity else ""):
        raise _changed(path.name)


def _changed(name: str) -> CheckpointError:
    return CheckpointError(f"The files of {name} have changed since the server was started.", remedy=_RESTART)
