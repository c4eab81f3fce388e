"""Matrix-vector product: y = A x. Every core has a tile of A; x comes down the columns, y adds up along the rows.

The cores of the top row have the parts of x. Products are sums of columns: y += A[:, j] * x[j], a vector by an element.
"""

import numpy as np

from undiced.fabric import CORE, EAST, NORTH, SOUTH, WEST, Kernel, way


def kernel(columns: int = 4, rows: int = 4, m: int = 8, n: int = 8) -> Kernel:
    """m, n: rows and columns of a tile of A."""
    kernel = Kernel(columns, rows, name="matvec")
    a = kernel.array("a", (n, m))  # its columns one after the other
    x, y = kernel.array("x", n), kernel.array("y", m)
    down = kernel.color("down")
    sums = kernel.color("even"), kernel.color("odd")

    # layout: where
    if rows > 1:
        kernel.paint(down, kernel[:, 0], way(CORE, to=SOUTH))
        kernel.paint(down, kernel[:, 1:-1], way(NORTH, to=(CORE, SOUTH)))
        kernel.paint(down, kernel[:, -1], way(NORTH, to=CORE))
    for turn in 0, 1:
        kernel.paint(sums[turn], kernel[turn or 2 :: 2], way(CORE, to=WEST))
        kernel.paint(sums[turn], kernel[1 - turn : columns - 1 : 2], way(EAST, to=CORE))

    # pe: what
    if rows > 1:
        with kernel.on(kernel[:, 0], "x") as pe:
            pe.move(down, x)
        with kernel.on(kernel[:, 1:], "x") as pe:
            pe.move(x, down)
    with kernel.on(kernel[:, :], "product") as pe, pe.loop(n) as j:
        pe.multiply_add(y, y, a[j], x[j])
    if columns > 1:
        with kernel.on(kernel[0], "sum") as pe:
            pe.add(y, sums[1], y)
        for turn in 0, 1:
            with kernel.on(kernel[turn or 2 : columns - 1 : 2], "sum") as pe:
                pe.add(sums[turn], sums[1 - turn], y)
        with kernel.on(kernel[-1], "sum") as pe:
            pe.move(sums[(columns - 1) % 2], y)

    some = np.random.default_rng(0)
    kernel.scatter(a, some.integers(-4, 4, (rows, columns, n, m)))
    kernel.scatter(x, some.integers(-4, 4, (1, columns, n)), kernel[:, 0])
    return kernel


def check(result):
    arrays = result.kernel.arrays
    tiles, parts = result.before(arrays["a"]), result.before(arrays["x"])[0]
    product = np.einsum("rcnm,cn->rm", tiles, parts)
    np.testing.assert_array_equal(result.gather(arrays["y"], result.kernel[0, :]), product)
