"""Sum by a binary tree: in each round half of the cores that are left send to their western partner, twice as far.

A core adds what its partners send, the nearest first, and passes the last of these sums on while it comes in. Every
round has a color of its own, which the routers between two partners pass on.
"""

import numpy as np

from undiced.fabric import CORE, EAST, WEST, Kernel, way


def kernel(cores: int = 16, wavelets: int = 16) -> Kernel:
    kernel = Kernel(cores, name="tree")
    data = kernel.array("data", wavelets)
    rounds = [kernel.color(f"round {number}") for number in range((cores - 1).bit_length())]

    # layout: where
    for number, color in enumerate(rounds):
        distance = 2**number
        senders = range(distance, cores, 2 * distance)
        between = [place for sender in senders for place in range(sender - distance + 1, sender)]
        kernel.paint(color, kernel[senders], way(CORE, to=WEST))
        kernel.paint(color, kernel[between], way(EAST, to=WEST))
        kernel.paint(color, kernel[[sender - distance for sender in senders]], way(EAST, to=CORE))

    # pe: what
    for place in range(cores):
        partners = [
            number for number in range(len(rounds)) if place % 2 ** (number + 1) == 0 and place + 2**number < cores
        ]
        mine = (place & -place).bit_length() - 1  # the round in which it sends; the first core never does
        with kernel.on(kernel[place]) as pe:
            for number in partners[:-1] if place else partners:
                pe.add(data, rounds[number], data)
            if place and partners:
                pe.add(rounds[mine], rounds[partners[-1]], data)
            elif place:
                pe.move(rounds[mine], data)

    kernel.scatter(data, np.random.default_rng(0).integers(-9, 9, (1, cores, wavelets)))
    return kernel


def check(result):
    data = result.kernel.arrays["data"]
    np.testing.assert_array_equal(result[data][0, 0], result.before(data)[0].sum(axis=0))
