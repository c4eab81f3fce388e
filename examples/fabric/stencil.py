"""A 5-point stencil: every core has a tile with a frame of one element, and takes its neighbors' edges into the frame.

Each step is eight moves that run beside each other, four to the neighbors and four from them, and six operations on the
tile. Outside of the mesh everything is zero.
"""

import numpy as np

from undiced.fabric import CORE, EAST, NORTH, SOUTH, WEST, Kernel, way

CENTER, BESIDE = 0.5, 0.125


def kernel(columns: int = 4, rows: int = 4, width: int = 4, height: int = 4, steps: int = 2) -> Kernel:
    """width, height: of a tile."""
    kernel = Kernel(columns, rows, name="stencil")
    u = kernel.array("u", (height + 2, width + 2))
    sums, rest = kernel.array("sums", (height, width)), kernel.array("rest", (height, width))
    inner = u[1:-1, 1:-1]
    sides = (  # where edges go, the edge that is sent there, the frame that it fills, the cores that send by their turn
        (EAST, WEST, u[1:-1, -2], u[1:-1, 0], lambda turn: kernel[turn : columns - 1 : 2]),
        (WEST, EAST, u[1:-1, 1], u[1:-1, -1], lambda turn: kernel[turn or 2 :: 2]),
        (SOUTH, NORTH, u[-2, 1:-1], u[0, 1:-1], lambda turn: kernel[:, turn : rows - 1 : 2]),
        (NORTH, SOUTH, u[1, 1:-1], u[-1, 1:-1], lambda turn: kernel[:, turn or 2 :: 2]),
    )
    moves = []
    for side, (to, back, edge, frame, senders) in enumerate(sides):
        # layout: where. Colors take turns, since a core hears its neighbor on the color that it does not send on.
        for turn in 0, 1:
            color, cores = kernel.color(f"{to.name.lower()} {turn}"), senders(turn)
            hearing = beside(kernel, cores, to)
            kernel.paint(color, cores, way(CORE, to=to))
            kernel.paint(color, hearing, way(back, to=CORE))
            moves += [(cores, 2 * side, color, edge), (hearing, 2 * side + 1, frame, color)]

    for step in range(steps):
        # pe: what
        for cores, thread, target, source in moves:
            with kernel.on(cores, f"edges {step}") as pe, pe.thread(thread):
                pe.move(target, source)
        with kernel.on(kernel[:, :], f"tile {step}") as pe:
            pe.multiply(rest, inner, CENTER)
            pe.wait(*range(8))
            pe.add(sums, u[:-2, 1:-1], u[2:, 1:-1])
            pe.add(sums, sums, u[1:-1, :-2])
            pe.add(sums, sums, u[1:-1, 2:])
            pe.multiply(sums, sums, BESIDE)
            pe.add(inner, rest, sums)

    kernel.scatter(inner, np.random.default_rng(0).integers(-8, 8, (rows, columns, height, width)))
    return kernel


def beside(kernel, cores, to):
    """The neighbors of cores on one side."""
    over, down = {EAST: (1, 0), WEST: (-1, 0), SOUTH: (0, 1), NORTH: (0, -1)}[to]
    return kernel[[x + over for x in cores.x], [y + down for y in cores.y]]


def check(result):
    u = result.kernel.arrays["u"]
    found, whole = (grid(values) for values in (result[u], result.before(u)))
    steps = len({block.step for block in result.kernel.blocks if block.step.startswith("tile")})
    for _ in range(steps):
        framed = np.pad(whole, 1)
        around = framed[:-2, 1:-1] + framed[2:, 1:-1] + framed[1:-1, :-2] + framed[1:-1, 2:]
        whole = CENTER * whole + BESIDE * around
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-5)


def grid(tiles):
    """The whole field, from tiles with frames."""
    inner = tiles[:, :, 1:-1, 1:-1]
    rows, columns, height, width = inner.shape
    return inner.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)
