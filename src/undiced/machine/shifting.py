"""How far each core of a row must move on so that every defect is passed: the least moves that links allow.

Many small windows of wafers at once, as arrays [window, row, column]. A logical core of column c lies at physical
column c + s. Neighbors in a row are one or two columns apart, so s stays or grows by one; neighbors in a column are at
most one apart, so s differs by one at most. Whatever is forbidden is met by raising some s, and what was raised has
to be: the result is the smallest s everywhere, whatever the order. Knows no wafer and no file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FARTHEST = 8  # ours: cores that a core is moved by at most, so that what is far away has no part in a repair
Moves = NDArray[np.int16]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Broken:
    """What is broken in windows, by physical place: [window, row, physical column].

    Attributes:
        dead: cores; a straight link down that is cut gives its upper core up.
        east, skip, right, left: cut links to the next core, past one core, and diagonally down.
    """

    dead: Flags
    east: Flags
    skip: Flags
    right: Flags
    left: Flags


def least(home: Moves, broken: Broken, most: int) -> tuple[Moves, Flags]:
    """The least moves, and which windows have none.

    Args:
        home: [1 or window, 1 or row, column], where cores would lie without defects: physical less logical column.
        most: physical columns less logical ones, which no core can be moved beyond; nor by more than `FARTHEST`.
    """
    windows, rows, physical = broken.dead.shape
    columns = home.shape[-1]
    moves = np.broadcast_to(home, (windows, rows, columns)).astype(np.int16)
    failed = np.zeros(windows, dtype=bool)
    left = np.arange(windows)
    while len(left):
        part = Broken(*(getattr(broken, name)[left] for name in Broken.__slots__))
        made = _raised(moves[left], part, physical)
        lost = (made.max(axis=(1, 2)) > most) | ((made - _home(home, left)).max(axis=(1, 2)) > FARTHEST)
        failed[left[lost]] = True
        going = (made != moves[left]).any(axis=(1, 2)) & ~lost
        moves[left[~lost]] = made[~lost]
        left = left[going]
    return moves, failed


def _home(home: Moves, windows: NDArray[np.intp]) -> Moves:
    """The homes of some windows, where windows have homes of their own."""
    return home if len(home) == 1 else home[windows]


def _raised(s: Moves, broken: Broken, physical: int) -> Moves:
    """One round: neighbors pull each other up, then whatever is forbidden moves one on."""
    columns = np.arange(s.shape[2], dtype=np.int16)
    rows = np.arange(s.shape[1], dtype=np.int16)[:, None]
    s = np.maximum.accumulate(s, axis=2)
    s = np.maximum.accumulate((s - columns)[:, :, ::-1], axis=2)[:, :, ::-1] + columns
    s = np.maximum.accumulate(s + rows, axis=1) - rows
    s = np.maximum.accumulate((s - rows)[:, ::-1], axis=1)[:, ::-1] + rows
    at = np.minimum(columns + s, physical - 1).astype(np.intp)
    wrong = _there(broken.dead, at)
    if broken.east.any() or broken.skip.any():
        step = np.diff(s, axis=2)
        wrong[:, :, 1:] |= (step == 0) & _there(broken.east, at)[:, :, :-1]
        wrong[:, :, :-1] |= (step == 1) & _there(broken.skip, at)[:, :, :-1]
    if broken.right.any() or broken.left.any():
        down = np.diff(s, axis=1)
        wrong[:, :-1] |= (down == 1) & _there(broken.right, at)[:, :-1]
        wrong[:, 1:] |= (down == -1) & _there(broken.left, at)[:, :-1]
    raised: Moves = s + wrong
    return raised


def _there(flags: Flags, at: NDArray[np.intp]) -> Flags:
    return np.take_along_axis(flags, at, axis=2)
