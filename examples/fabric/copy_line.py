"""Copy: the core at the west end of a line sends a vector to the one at its east end.

Every router between them passes the wavelets on; the cores there do nothing.
"""

import numpy as np

from undiced.fabric import CORE, EAST, WEST, Kernel, way


def kernel(cores: int = 4, wavelets: int = 4) -> Kernel:
    kernel = Kernel(cores, name="copy")
    data = kernel.array("data", wavelets)
    red = kernel.color("red")
    first, between, last = kernel[0], kernel[1:-1], kernel[-1]

    # layout: where
    kernel.paint(red, first, way(CORE, to=EAST))
    kernel.paint(red, between, way(WEST, to=EAST))
    kernel.paint(red, last, way(WEST, to=CORE))

    # pe: what
    with kernel.on(first) as pe:
        pe.move(red, data)
    with kernel.on(last) as pe:
        pe.move(data, red)

    kernel.scatter(data, np.arange(wavelets), first)
    return kernel


def check(result):
    data = result.kernel.arrays["data"]
    np.testing.assert_array_equal(result[data][0, -1], result.before(data)[0, 0])
