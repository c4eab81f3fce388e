"""Multicast: the core at the west end of each row sends a vector to all others of its row.

A router passes each wavelet to its core and to the next router in the same cycle, so that distance is all that a longer
line costs: B wavelets over P cores take B + P + 4 cycles after the set-up.
"""

import numpy as np

from undiced.fabric import CORE, EAST, WEST, Kernel, way


def kernel(cores: int = 16, rows: int = 1, wavelets: int = 16) -> Kernel:
    kernel = Kernel(cores, rows, name="multicast")
    data = kernel.array("data", wavelets)
    red = kernel.color("red")
    first, others = kernel[0], kernel[1:]

    # layout: where
    kernel.paint(red, first, way(CORE, to=EAST))
    kernel.paint(red, kernel[1:-1], way(WEST, to=(CORE, EAST)))
    kernel.paint(red, kernel[-1], way(WEST, to=CORE))

    # pe: what
    with kernel.on(first) as pe:
        pe.move(red, data)
    with kernel.on(others) as pe:
        pe.move(data, red)

    kernel.scatter(data, np.random.default_rng(0).normal(size=(rows, 1, wavelets)), first)
    return kernel


def check(result):
    data = result.kernel.arrays["data"]
    sent = result.before(data)[:, :1]
    np.testing.assert_array_equal(result[data], np.broadcast_to(sent, result[data].shape))
