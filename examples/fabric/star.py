"""Sum by a star: every core sends its vector to the one at the west end, the nearest first.

One color is enough. A router first lets its own core send, then the farther ones pass: its switch moves on when the
last wavelet of its core has gone by. B wavelets of P cores take B (P - 1) + 6 cycles, set-ups apart.
"""

import numpy as np

from undiced.fabric import CORE, EAST, WEST, Kernel, way


def kernel(cores: int = 16, wavelets: int = 4) -> Kernel:
    kernel = Kernel(cores, name="star")
    data = kernel.array("data", wavelets)
    red = kernel.color("red")
    root, members, last = kernel[0], kernel[1:], kernel[-1]

    # layout: where
    kernel.paint(red, root, way(EAST, to=CORE))
    kernel.paint(red, kernel[1:-1], way(CORE, to=WEST), way(EAST, to=WEST))
    kernel.paint(red, last, way(CORE, to=WEST))

    # pe: what
    with kernel.on(root) as pe, pe.loop(cores - 1):
        pe.add(data, red, data)
    with kernel.on(members) as pe:
        pe.move(red.then(advance=True), data)

    kernel.scatter(data, np.random.default_rng(0).integers(-9, 9, (1, cores, wavelets)))
    return kernel


def check(result):
    data = result.kernel.arrays["data"]
    np.testing.assert_array_equal(result[data][0, 0], result.before(data)[0].sum(axis=0))
