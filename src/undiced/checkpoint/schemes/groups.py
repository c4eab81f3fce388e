"""Which columns of a matrix share a scale, as a folder says it: checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint.schemes.files import Files


def check_groups(files: Files, name: str, inputs: int, groups: int, stated: int | None) -> None:
    """Groups of equal size, and of the one that the configuration states (-1: a whole row)."""
    size = inputs if stated in (-1, 0) else stated
    if inputs % groups or (size is not None and size * groups != inputs):
        of = "" if size is None else f" of {size}"
        raise files.odd(name, f"has scales of {groups} groups; {inputs} inputs in groups{of} do not make so many")


def in_order(columns: int, groups: int) -> NDArray[np.int64]:
    """The group of each column where they follow each other."""
    return np.arange(columns) // (columns // groups)


def chosen(files: Files, name: str, columns: int, groups: int) -> NDArray[np.int64]:
    """The group of each column, as a tensor names it.

    Raises:
        CheckpointError: not one for each column, or one that does not exist.
    """
    if files.need(name, ("I32", "I64"), 1).shape != (columns,):
        raise files.odd(name, f"does not name a group for each of {columns} columns")
    choice = files.whole(name)
    if choice.min() < 0 or choice.max() >= groups:
        raise files.odd(name, f"names groups beyond the {groups} that there are")
    return choice


def out_of_order(files: Files, name: str, columns: int, groups: int) -> bool:
    """Whether a tensor names groups that do not follow each other."""
    return not np.array_equal(chosen(files, name, columns, groups), in_order(columns, groups))
