"""Sum in two phases: chains inside of groups, then a chain over the cores that end up with the groups' sums.

Groups of sqrt(P) cores make the longest way 2 sqrt(P) - 2 steps instead of P - 1. Each phase has two colors; those of
the second pass over the cores between two roots.
"""

import numpy as np

from undiced.fabric import CORE, EAST, WEST, Kernel, way


def kernel(cores: int = 16, group: int = 4, wavelets: int = 64) -> Kernel:
    kernel = Kernel(cores, name="two_phase")
    data = kernel.array("data", wavelets)
    for phase in chains(cores, group):
        chain(kernel, data, *phase)
    kernel.scatter(data, np.random.default_rng(0).integers(-9, 9, (1, cores, wavelets)))
    return kernel


def chains(cores, group):
    """Each phase: its name, and its chains as places from the root on."""
    yield "groups", [range(first, min(first + group, cores)) for first in range(0, cores, group)]
    yield "roots", [range(0, cores, group)]


def chain(kernel, data, name, lines):
    colors = kernel.color(f"{name} even"), kernel.color(f"{name} odd")
    for turn in 0, 1:  # members take turns on the two colors
        senders = [line[at] for line in lines for at in range(1, len(line)) if at % 2 == turn]
        receivers = [line[at - 1] for line in lines for at in range(1, len(line)) if at % 2 == turn]
        between = [place for a, b in zip(receivers, senders, strict=True) for place in range(a + 1, b)]
        kernel.paint(colors[turn], kernel[senders], way(CORE, to=WEST))
        kernel.paint(colors[turn], kernel[between], way(EAST, to=WEST))
        kernel.paint(colors[turn], kernel[receivers], way(EAST, to=CORE))

    for turn in 0, 1:
        mine, other = colors[turn], colors[1 - turn]
        inner = [line[at] for line in lines for at in range(1, len(line) - 1) if at % 2 == turn]
        ends = [line[-1] for line in lines if len(line) > 1 and (len(line) - 1) % 2 == turn]
        with kernel.on(kernel[inner], name) as pe:
            pe.add(mine, other, data)
        with kernel.on(kernel[ends], name) as pe:
            pe.move(mine, data)
    with kernel.on(kernel[[line[0] for line in lines if len(line) > 1]], name) as pe:
        pe.add(data, colors[1], data)


def check(result):
    data = result.kernel.arrays["data"]
    np.testing.assert_array_equal(result[data][0, 0], result.before(data)[0].sum(axis=0))
