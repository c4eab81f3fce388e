"""Arrays of a region seen by lines of neighboring cores along an axis, and back."""

from __future__ import annotations

import numpy as np

from undiced.program.wafer.instruction import Line
from undiced.program.wafer.layout import Axis
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.rounding import F32


def by_line(cores: Cores, array: F32, line: Line) -> F32:
    """[across the axis, lines of it, span, tokens, flat] of an array over cores, without those beyond the last line."""
    flat = array.reshape(*array.shape[:3], -1)
    flat = flat if line.axis is Axis.COLUMNS else flat.swapaxes(0, 1)
    extent = cores.extent(line.axis)
    flat = flat if flat.shape[1] == extent else np.broadcast_to(flat, (flat.shape[0], extent, *flat.shape[2:]))
    count = extent // line.span
    return flat[:, : count * line.span].reshape(flat.shape[0], count, line.span, *flat.shape[2:])


def from_lines(cores: Cores, lines: F32, line: Line) -> F32:
    """The inverse: [rows, columns, tokens, flat]; cores beyond the last line hold 0.

    What all cores of all of an axis' lines hold alike comes with a span of 1 and stays one.
    """
    across, count, span = lines.shape[:3]
    array = lines.reshape(across, count * span, *lines.shape[3:])
    if span == 1 and line.span > 1:
        array = array if count * line.span == cores.extent(line.axis) == line.span else array.repeat(line.span, axis=1)
    beyond = cores.extent(line.axis) - array.shape[1]
    if array.shape[1] > 1 and beyond:
        array = np.pad(array, [(0, 0), (0, beyond), (0, 0), (0, 0)])
    return array if line.axis is Axis.COLUMNS else array.swapaxes(0, 1)
