"""Program files as commands take them: found, read, held against the machine that they name. Files are untrusted.

Knows how a program file is recognized and verified; neither what is computed from it nor what is printed.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.errors import CheckpointError, CompileError, InvalidRequestError, ProgramFileError
from undiced.core.option import option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undiced.machine.wafer import Wafer
    from undiced.program.wafer.program import WaferProgram

_MAGIC = b"UNDICED"
_REMEDY = "Compile it again."


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """A wafer program out of a file, and the machine that it was compiled for."""

    path: Path
    program: WaferProgram
    wafer: Wafer

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Numbers that nothing can be computed from are the file's fault, whatever they lead to.

        Raises:
            ProgramFileError: instead of an error of arithmetic, of a missing entry or of a wrong type.
        """
        try:
            yield
        except (ArithmeticError, LookupError, ValueError, TypeError, AssertionError, MemoryError) as error:
            raise ProgramFileError(
                f"{self.path} holds a program that nothing can be computed from ({type(error).__name__}: {error}).",
                remedy=_REMEDY,
            ) from error


def is_program(model: str) -> bool:
    """Whether `model` is a file that says it holds a program."""
    path = Path(model)
    return path.is_file() and path.suffix not in (".json", ".gguf") and magic(path) == _MAGIC


def magic(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        CheckpointError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC))
    except OSError as error:
        raise CheckpointError(f"Cannot read {path}: {error.strerror}.", remedy="Check its permissions.") from None


def open_program(path: Path, machine: str | Wafer | None) -> ProgramFile:
    """A wafer program, verified against its machine.

    Args:
        machine: a machine, its name or its file; None for the one that the program names.

    Raises:
        ProgramFileError: not a program, damaged, or with content that its machine can't hold.
        InvalidRequestError: a host program, or a machine that is not the program's.
    """
    from undiced.program import HostProgram
    from undiced.program.file import load

    program = load(path)
    if isinstance(program, HostProgram):
        raise InvalidRequestError(
            f"{path} was compiled for the host, which runs it instead of timing it.",
            remedy=f"Compile it with {option('machine', 'wse3')}.",
        )
    opened = ProgramFile(path, program, _machine_of(program) if machine is None else wafer_of(machine))
    try:
        with opened.computing():
            if program.machine_digest == opened.wafer.digest:  # else the simulators refuse it, naming both
                _verify(program, opened.wafer)
    except CompileError as error:
        raise ProgramFileError(f"{path} does not hold a valid program: {error.message}", remedy=_REMEDY) from None
    return opened


def _verify(program: WaferProgram, wafer: Wafer) -> None:
    from undiced.machine.fabric import hardware
    from undiced.program.wafer.verify import verify

    verify(program, hardware(wafer))


def wafer_of(machine: str | Wafer) -> Wafer:
    """A machine by its name or its file, or itself."""
    from undiced.machine import find_machine

    return find_machine(machine) if isinstance(machine, str) else machine


def _machine_of(program: WaferProgram) -> Wafer:
    """The machine that a program was compiled for."""
    try:
        return wafer_of(program.machine)
    except CompileError:
        raise InvalidRequestError(
            f"The program was compiled for {program.machine!r}, a machine of your own.",
            remedy=f"Name its file: {option('machine', 'FILE.toml')}.",
        ) from None
