"""Sum in two phases: chains inside of groups, then a chain over the cores that end up with the groups' sums.

Groups of sqrt(P) cores make the longest way 2 sqrt(P) - 2 steps instead of P - 1. Each phase has two colors; those of
the second pass over the cores between two roots. The root of the last group passes its group's sum on as it comes in.
"""

import numpy as np

from undiced.fabric import CORE, EAST, WEST, Kernel, way


def kernel(cores: int = 16, group: int = 4, wavelets: int = 64) -> Kernel:
    kernel = Kernel(cores, name="two_phase")
    data = kernel.array("data", wavelets)
    groups = [range(first, min(first + group, cores)) for first in range(0, cores, group)]
    inside = chains(kernel, "groups", groups)
    across = chains(kernel, "roots", [range(0, cores, group)])

    # pe: what
    for line in groups:
        for at in range(1, len(line)):
            with kernel.on(kernel[line[at]], "groups") as pe:
                if at == len(line) - 1:
                    pe.move(inside[at % 2], data)
                else:
                    pe.add(inside[at % 2], inside[1 - at % 2], data)
    last = len(groups) - 1
    for at, line in enumerate(groups):
        with kernel.on(kernel[line[0]], "roots") as pe:
            if len(line) > 1 and (at < last or last == 0):
                pe.add(data, inside[1], data)
            if at == last > 0 and len(line) > 1:
                pe.add(across[at % 2], inside[1], data)
            elif at == last > 0:
                pe.move(across[at % 2], data)
            elif at > 0:
                pe.add(across[at % 2], across[1 - at % 2], data)
            elif last > 0:
                pe.add(data, across[1], data)

    kernel.scatter(data, np.random.default_rng(0).integers(-9, 9, (1, cores, wavelets)))
    return kernel


def chains(kernel, name, lines):
    """layout: where. Members of each line send to the one before, on two colors that take turns."""
    colors = kernel.color(f"{name} even"), kernel.color(f"{name} odd")
    for turn in 0, 1:
        pairs = [(line[at - 1], line[at]) for line in lines for at in range(1, len(line)) if at % 2 == turn]
        kernel.paint(colors[turn], kernel[[sender for _, sender in pairs]], way(CORE, to=WEST))
        kernel.paint(colors[turn], kernel[[at for a, b in pairs for at in range(a + 1, b)]], way(EAST, to=WEST))
        kernel.paint(colors[turn], kernel[[receiver for receiver, _ in pairs]], way(EAST, to=CORE))
    return colors


def check(result):
    data = result.kernel.arrays["data"]
    np.testing.assert_array_equal(result[data][0, 0], result.before(data)[0].sum(axis=0))
