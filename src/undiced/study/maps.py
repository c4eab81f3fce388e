"""Which wafers a program is placed on, as people name them: a seed, or files of defects, one a wafer."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.errors import CompileError, InvalidRequestError
from undiced.core.option import option

if TYPE_CHECKING:
    from undiced.machine.defects import DefectMap
    from undiced.machine.silicon import Process
    from undiced.machine.wafer import Wafer

_NUMBER = re.compile(r"[-+]?\d*\.?\d+")


def process_of(density: float | None, clusters: bool) -> Process:
    """How defects fall: the published density by default, independently or gathered.

    Raises:
        CompileError: a density out of range.
    """
    from undiced.machine.silicon import DENSITY, Process, gathered

    each = DENSITY.value if density is None else density
    return gathered(each) if clusters else Process(each)


def maps_of(defects: str, wafer: Wafer, process: Process, wafers: int) -> Callable[[int], DefectMap]:
    """The map of each wafer by its number: drawn with a seed, or read from files in order.

    Raises:
        CompileError: no seed and no file, a damaged map, or fewer files than wafers.
    """
    from undiced.machine.defect_file import read_defects
    from undiced.machine.scatter import scatter

    if is_seed(defects):
        return lambda number: scatter(process, wafer, int(defects), number)
    paths = _files(defects)
    if len(paths) < wafers:
        raise CompileError(
            f"The program takes {wafers} wafers, and {len(paths)} map{'s are' * (len(paths) > 1) or ' is'} given.",
            remedy="Name a file for each, with commas between them.",
        )
    return lambda number: read_defects(paths[number], *wafer.built)


def check_defects(defects: str | None, density: float | None, clusters: bool, machine: str | Wafer) -> None:
    """What is asked for of defects goes together, and files are maps of such wafers.

    Raises:
        CompileError, InvalidRequestError: it does not, is out of range, or a file is none.
    """
    from undiced.machine import find_machine
    from undiced.machine.defect_file import read_defects

    process_of(density, clusters)
    if (density is not None or clusters) and not (defects is not None and is_seed(defects)):
        raise InvalidRequestError(
            "A density and clusters are of defects that are drawn with a seed.", remedy=f"Add {option('defects', 1)}."
        )
    if defects is not None and not is_seed(defects):
        wafer = find_machine(machine) if isinstance(machine, str) else machine
        for path in _files(defects):
            read_defects(path, *wafer.built)


def _files(defects: str) -> list[Path]:
    """The files that are named.

    Raises:
        InvalidRequestError: none is, or a number that is no seed.
    """
    names = [each.strip() for each in defects.split(",") if each.strip()]
    if not names or _NUMBER.fullmatch(defects.strip()):
        what = f"{defects.strip()} is no seed" if names else "No map of defects is named"
        raise InvalidRequestError(f"{what}.", remedy=f"Use {option('defects', 1)}, a whole number from 0, or a file.")
    return [Path(each) for each in names]


def is_seed(defects: str) -> bool:
    """Whether a seed is meant."""
    return defects.strip().isdecimal()
