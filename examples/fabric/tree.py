"""Sum by a binary tree: in each round half of the cores that are left send to their western partner, twice as far.

Every round has a color of its own, which the routers between two partners pass on.
"""

import numpy as np

from undiced.fabric import CORE, EAST, WEST, Kernel, way


def kernel(cores: int = 16, wavelets: int = 16) -> Kernel:
    kernel = Kernel(cores, name="tree")
    data = kernel.array("data", wavelets)
    distance = 1
    while distance < cores:
        color = kernel.color(f"round {distance}")
        senders = range(distance, cores, 2 * distance)
        receivers = [sender - distance for sender in senders]
        between = [place for sender in senders for place in range(sender - distance + 1, sender)]

        # layout: where
        kernel.paint(color, kernel[senders], way(CORE, to=WEST))
        kernel.paint(color, kernel[between], way(EAST, to=WEST))
        kernel.paint(color, kernel[receivers], way(EAST, to=CORE))

        # pe: what
        with kernel.on(kernel[senders], color.name) as pe:
            pe.move(color, data)
        with kernel.on(kernel[receivers], color.name) as pe:
            pe.add(data, color, data)
        distance *= 2

    kernel.scatter(data, np.random.default_rng(0).integers(-9, 9, (1, cores, wavelets)))
    return kernel


def check(result):
    data = result.kernel.arrays["data"]
    np.testing.assert_array_equal(result[data][0, 0], result.before(data)[0].sum(axis=0))
