"""Sum by a chain: each core adds its vector to what its eastern neighbor sends, and passes it on to the west.

A color enters a core and another one leaves it, so two take turns: cores at even places send on the first, those at odd
places on the second. B wavelets of P cores take B + 6 (P - 1) cycles, set-ups apart.
"""

import numpy as np

from undiced.fabric import CORE, EAST, WEST, Kernel, way


def kernel(cores: int = 16, wavelets: int = 64) -> Kernel:
    kernel = Kernel(cores, name="chain")
    data = kernel.array("data", wavelets)
    colors = kernel.color("even"), kernel.color("odd")
    root, last = kernel[0], kernel[-1]

    # layout: where
    for place in 0, 1:
        kernel.paint(colors[place], kernel[place or 2 :: 2], way(CORE, to=WEST))
        kernel.paint(colors[place], kernel[1 - place : cores - 1 : 2], way(EAST, to=CORE))

    # pe: what
    with kernel.on(root) as pe:
        pe.add(data, colors[1], data)
    for place in 0, 1:
        with kernel.on(kernel[place or 2 : cores - 1 : 2]) as pe:
            pe.add(colors[place], colors[1 - place], data)
    with kernel.on(last) as pe:
        pe.move(colors[(cores - 1) % 2], data)

    kernel.scatter(data, np.random.default_rng(0).integers(-9, 9, (1, cores, wavelets)))
    return kernel


def check(result):
    data = result.kernel.arrays["data"]
    np.testing.assert_array_equal(result[data][0, 0], result.before(data)[0].sum(axis=0))
