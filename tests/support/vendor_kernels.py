"""Kernels of a vendor simulator's published points, as the vendor's public examples write such programs.

A vector operation moves a whole vector to or from the fabric, and a task goes on when it has ended. What the points
were measured with is not described any further.
"""

from __future__ import annotations

import numpy as np

from undiced.fabric import CORE, EAST, NORTH, SOUTH, WEST, Kernel, way


def vertical_copy(cores: int, wavelets: int) -> Kernel:
    """The core at the north end of a column sends a vector to the one at its south end."""
    kernel = Kernel(1, cores, name="vertical copy")
    data, red = kernel.array("data", wavelets), kernel.color("red")
    kernel.paint(red, kernel[0, 0], way(CORE, to=SOUTH))
    kernel.paint(red, kernel[0, 1:-1], way(NORTH, to=SOUTH))
    kernel.paint(red, kernel[0, -1], way(NORTH, to=CORE))
    with kernel.on(kernel[0, 0]) as pe:
        pe.move(red, data)
    with kernel.on(kernel[0, -1]) as pe:
        pe.move(data, red)
    return kernel


def naive_reduce(cores: int, wavelets: int) -> Kernel:
    """A chain whose cores take the whole vector, add it to their own, and only then send the sum."""
    kernel = Kernel(cores, name="naive reduce")
    data, came = kernel.array("data", wavelets), kernel.array("came", wavelets)
    colors = kernel.color("even"), kernel.color("odd")
    for place in 0, 1:
        kernel.paint(colors[place], kernel[place or 2 :: 2], way(CORE, to=WEST))
        kernel.paint(colors[place], kernel[1 - place : cores - 1 : 2], way(EAST, to=CORE))
    for place in range(cores):
        with kernel.on(kernel[place]) as pe:
            if place < cores - 1:
                with pe.thread():
                    pe.move(came, colors[(place + 1) % 2])
                pe.wait()
                pe.add(data, data, came)
            if place:
                pe.move(colors[place % 2], data)
    kernel.scatter(data, np.arange(cores * wavelets).reshape(1, cores, wavelets))
    return kernel
