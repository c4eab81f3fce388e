"""Matrix-matrix product by shifts: C = A B. Tiles of A pass around the rows and tiles of B around the columns.

A line of cores becomes a ring without a long way back: its cores are neighbors of those two places away, as in
0 2 4 5 3 1, so that no tile goes further than two hops in a step. In each step a core multiplies the tiles that it has
while it sends them on and takes the next ones into other arrays.
"""

import numpy as np

from undiced.fabric import CORE, EAST, NORTH, SOUTH, WEST, Kernel, way


def ring(side):
    """Places of a line in the order of the ring."""
    return [*range(0, side, 2), *range(side - 1 - side % 2, 0, -2)]


def kernel(side: int = 4, tile: int = 4) -> Kernel:
    """side: cores along each axis, an even number. tile: rows and columns of a tile."""
    if side < 4 or side % 2:
        raise ValueError(f"a ring needs an even side of 4 or more, not {side}")
    kernel = Kernel(side, side, name="matmul")
    a = [kernel.array(name, (tile, tile)) for name in ("a", "a2")]  # [k][row]
    b = [kernel.array(name, (tile, tile)) for name in ("b", "b2")]  # [column][k]
    c = kernel.array("c", (tile, tile))  # [column][row]
    along = shifts(kernel, side, "x", lambda places: kernel[places, :], WEST, EAST)
    across = shifts(kernel, side, "y", lambda places: kernel[:, places], NORTH, SOUTH)

    for step in range(side):
        now, after = step % 2, 1 - step % 2
        for moving, arrays, first in ((along, a, 0), (across, b, 2)) if step < side - 1 else ():
            for cores, mine, other in moving:
                with kernel.on(cores, f"shift {step} {'xy'[first // 2]}") as pe:
                    with pe.thread(first):
                        pe.move(mine, arrays[now])
                    with pe.thread(first + 1):
                        pe.move(arrays[after], other)
        with kernel.on(kernel[:, :], f"product {step}") as pe:
            with pe.loop(tile) as column, pe.loop(tile) as k:
                pe.multiply_add(c[column], c[column], a[now][k], b[now][column, k])
            pe.wait(0, 1, 2, 3)

    # A core at places i of its column and j of its row has C[i, j]. It begins with A[i, i + j] and B[i + j, j].
    order, some = ring(side), np.random.default_rng(0)
    tiles = some.integers(-3, 3, (2, side, side, tile, tile))
    for i, y in enumerate(order):
        for j, x in enumerate(order):
            kernel.scatter(a[0], tiles[0, i, (i + j) % side].T, kernel[x, y])
            kernel.scatter(b[0], tiles[1, (i + j) % side, j].T, kernel[x, y])
    return kernel


def shifts(kernel, side, axis, at, back, ahead):
    """Each core of a ring sends to the one before it. Gives cores with the color that they send on, and that they hear.

    Two colors take turns on cores at even places, and two others on those at odd places.
    """
    order = ring(side)
    colors = {(odd, turn): kernel.color(f"{axis} {odd} {turn}") for odd in (0, 1) for turn in (0, 1)}
    color_of = {place: colors[place % 2, number % 2] for number, place in enumerate(order)}
    out = []
    for number, place in enumerate(order):
        goal, mine = order[number - 1], color_of[place]
        towards, away = (back, ahead) if goal < place else (ahead, back)
        # layout: where
        kernel.paint(mine, at([place]), way(CORE, to=towards))
        kernel.paint(mine, at(range(min(goal, place) + 1, max(goal, place))), way(away, to=towards))
        kernel.paint(mine, at([goal]), way(away, to=CORE))
        out.append((at([place]), mine, color_of[order[(number + 1) % side]]))
    return out


def check(result):
    side, arrays = result.kernel.width, result.kernel.arrays
    order = ring(side)
    there = np.ix_(order, order)
    first, second, product = (
        values[there] for values in (*(result.before(arrays[n]) for n in "ab"), result[arrays["c"]])
    )
    i, j = np.indices((side, side))
    whole_a, whole_b = np.zeros_like(first), np.zeros_like(second)
    whole_a[i, (i + j) % side] = first[i, j]
    whole_b[(i + j) % side, j] = second[i, j]
    np.testing.assert_array_equal(product, np.einsum("imkr,mjck->ijcr", whole_a, whole_b))
