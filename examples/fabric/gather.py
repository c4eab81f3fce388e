"""Gather: every core of a column sends words to the one at its north end, which handles each by a task and returns it.

A task per wavelet is what software does where words come unannounced. It costs about forty times what the wire does:
compare with star.py, whose vector operations take a wavelet per cycle.
"""

import numpy as np

from undiced.fabric import CORE, NORTH, SOUTH, Command, Control, Kernel, way


def kernel(cores: int = 8, words: int = 4) -> Kernel:
    kernel = Kernel(1, cores, name="gather")
    data, back = kernel.array("data", words), kernel.array("back", words)
    up, down = kernel.color("up"), kernel.color("down")
    root, members, last = kernel[:, 0], kernel[:, 1:], kernel[:, -1]

    # layout: where. The nearest sends first; what comes back is for the nearest until a control wavelet says otherwise.
    kernel.paint(up, root, way(SOUTH, to=CORE))
    kernel.paint(up, kernel[:, 1:-1], way(CORE, to=NORTH), way(SOUTH, to=NORTH))
    kernel.paint(up, last, way(CORE, to=NORTH))
    kernel.paint(down, root, way(CORE, to=SOUTH))
    kernel.paint(down, kernel[:, 1:-1], way(NORTH, to=CORE), way(NORTH, to=SOUTH))
    kernel.paint(down, last, way(NORTH, to=CORE))

    # pe: what
    with kernel.on(root) as pe, pe.loop(cores - 1):
        pe.take_each(data, up)
        pe.emit_each(down.then(control=Control(((Command.ADVANCE, 0),))), data)
    with kernel.on(members) as pe:
        with pe.thread():
            pe.move(back, down)
        pe.emit_each(up.then(advance=True), data)

    kernel.scatter(data, np.random.default_rng(0).normal(size=(cores, 1, words)))
    return kernel


def check(result):
    data, back = result.kernel.arrays["data"], result.kernel.arrays["back"]
    np.testing.assert_array_equal(result[back][1:], result.before(data)[1:])
