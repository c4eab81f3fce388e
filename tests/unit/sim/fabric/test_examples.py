"""Every kernel of examples/fabric: its numbers, its cycles, and whether its own check would notice a wrong number."""

from __future__ import annotations

import numpy as np
import pytest
from support.fabric_examples import CYCLES, NAMES, example
from support.fabric_twin import twin

from undiced.core.errors import KernelError
from undiced.fabric import CORE, EAST, WEST, Kernel, way
from undiced.machine.presets import wse3
from undiced.sim.fabric.kernel.build import built

# The least and some larger sizes.
SIZES: dict[str, list[dict[str, int]]] = {
    "all_sum": [
        {"columns": 2, "rows": 2, "wavelets": 1},
        {"columns": 20, "rows": 33, "wavelets": 40},
    ],
    "chain": [{"cores": 2, "wavelets": 1}, {"cores": 3}, {"cores": 101, "wavelets": 7}],
    "copy_line": [{"cores": 2, "wavelets": 1}, {"cores": 50, "wavelets": 333}],
    "gather": [{"cores": 3, "words": 1}, {"cores": 20, "words": 9}],
    "level_tree": [
        {"cores": 4, "group": 4, "slices": 1},
        {"cores": 60, "rows": 3, "group": 6, "slices": 3, "wavelets": 40},
        {"cores": 16, "group": 2, "slices": 2},
        {"cores": 29, "rows": 2, "group": 7, "slices": 2},
        {"cores": 30, "group": 7, "slices": 3},
    ],
    "matmul": [{"side": 4, "tile": 1}, {"side": 10, "tile": 3}],
    "matvec": [
        {"columns": 1, "rows": 1},
        {"columns": 2, "rows": 1},
        {"columns": 7, "rows": 5, "m": 5, "n": 3},
    ],
    "multicast": [{"cores": 2, "wavelets": 1}, {"cores": 40, "rows": 9, "wavelets": 70}],
    "star": [{"cores": 2, "wavelets": 1}, {"cores": 100, "wavelets": 9}],
    "stencil": [
        {"columns": 1, "rows": 1},
        {"columns": 2, "rows": 1, "width": 1, "height": 1, "steps": 3},
        {"columns": 5, "rows": 6, "width": 7, "height": 3, "steps": 4},
    ],
    "tree": [{"cores": 2, "wavelets": 1}, {"cores": 100, "wavelets": 9}],
    "two_phase": [{"cores": 4, "group": 2, "wavelets": 1}, {"cores": 50, "group": 7, "wavelets": 30}],
}
SMALL = {
    "all_sum": {"columns": 4, "rows": 3, "wavelets": 5},
    "chain": {"cores": 5, "wavelets": 6},
    "copy_line": {},
    "gather": {"cores": 3, "words": 2},
    "level_tree": {"cores": 8, "wavelets": 4},
    "matvec": {"columns": 3, "rows": 2, "m": 3, "n": 2},
    "multicast": {"cores": 5, "rows": 2, "wavelets": 5},
    "star": {"cores": 5, "wavelets": 3},
    "stencil": {"columns": 3, "rows": 2, "width": 2, "height": 2, "steps": 1},
    "tree": {"cores": 8, "wavelets": 4},
    "two_phase": {"cores": 9, "group": 3, "wavelets": 5},
}


def test_every_example_is_tested() -> None:
    assert set(NAMES) == set(CYCLES) == set(SIZES) == {*SMALL, "matmul"}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_right_and_cycles_are_the_known_ones(name: str) -> None:
    wires, second, third = CYCLES[name]
    for machine, cycles, setup, rate in (
        ("wse3", wires, 0.0, 1.0),
        ("wse2", second, None, None),
        ("wse3", third, None, None),
    ):
        result = example(name).kernel().run(machine, setup=setup, link_rate=rate)
        example(name).check(result)
        assert result.cycles == cycles


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_right_at_any_size_whoever_is_late(name: str) -> None:
    for number, size in enumerate(SIZES[name]):
        result = example(name).kernel(**size).run(skew=200 * number, jitter=50 * number, seed=number)
        example(name).check(result)


@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_threads_finds_the_same(name: str) -> None:
    one, two, three = (example(name).kernel().run(threads=threads, jitter=9).outcome for threads in (1, 2, 3))
    for other in (two, three):
        assert (one.cycles, one.hops, one.active, one.worked) == (other.cycles, other.hops, other.active, other.worked)
        assert all(
            (getattr(one, part) == getattr(other, part)).all() for part in ("memory", "finished", "loads", "busy")
        )


@pytest.mark.parametrize("name", SMALL)
def test_the_obvious_twin_finds_the_same(name: str) -> None:
    kernel = example(name).kernel(**SMALL[name])
    result, made = kernel.run(threads=1), built(kernel, wse3())
    other = twin(made.program, made.hardware, memory=made.memory)
    assert (result.cycles, result.outcome.hops) == (other.cycles, other.hops)
    assert all(
        (getattr(result.outcome, part) == getattr(other, part)).all() for part in ("memory", "finished", "loads")
    )


@pytest.mark.parametrize("name", NAMES)
def test_its_check_notices_wrong_numbers(name: str) -> None:
    result = example(name).kernel().run()
    result.outcome.memory.view(np.float32)[:] += 1
    with pytest.raises(AssertionError):
        example(name).check(result)


def deaf(cores: int, sent: int, taken: int) -> Kernel:
    """The first core sends more or less than the last one takes."""
    kernel = Kernel(cores, name="deaf")
    data, red = kernel.array("data", max(sent, taken)), kernel.color("red")
    kernel.paint(red, kernel[0], way(CORE, to=EAST))
    kernel.paint(red, kernel[1:-1], way(WEST, to=EAST))
    kernel.paint(red, kernel[-1], way(WEST, to=CORE))
    with kernel.on(kernel[0], "talk") as pe:
        pe.move(red, data[:sent])
    with kernel.on(kernel[-1], "listen") as pe:
        pe.move(data[:taken], red)
    return kernel


def test_a_deadlock_names_cores_operations_and_colors() -> None:
    with pytest.raises(KernelError) as found:
        deaf(4, 4, 9).run(setup=0.0)
    assert "Deadlock: after cycle 1" in found.value.message
    assert "(3, 0) the main thread, in move of step 'listen': nothing has come on color 'red'" in found.value.message
    with pytest.raises(KernelError) as found:
        deaf(4, 300, 4).run(setup=0.0)
    assert "(0, 0) the main thread, in move of step 'talk': output queue" in found.value.message
    assert "of color 'red' has no room" in found.value.message and found.value.remedy


def test_wavelets_that_nobody_reads_are_told() -> None:
    with pytest.raises(
        KernelError, match=r"\(3, 0\) the router: wavelets of color 'red' in input queue 2 were never read"
    ):
        deaf(4, 6, 4).run(setup=0.0)


def test_cores_that_wait_for_each_other_are_both_named() -> None:
    kernel = Kernel(2)
    data, there, back = kernel.array("data", 4), kernel.color("there"), kernel.color("back")
    kernel.paint(there, kernel[0], way(CORE, to=EAST))
    kernel.paint(there, kernel[1], way(WEST, to=CORE))
    kernel.paint(back, kernel[1], way(CORE, to=WEST))
    kernel.paint(back, kernel[0], way(EAST, to=CORE))
    for cores, mine, other in (kernel[0], there, back), (kernel[1], back, there):
        with kernel.on(cores, f"turn of {mine}") as pe:
            pe.move(data, other)
            pe.move(mine, data)
    with pytest.raises(KernelError) as found:
        kernel.run(setup=0.0)
    for x, mine, other in (0, "there", "back"), (1, "back", "there"):
        waits = f"({x}, 0) the main thread, in move of step 'turn of {mine}': nothing has come on color '{other}'"
        assert waits in found.value.message


def test_an_endless_program_ends_at_its_limit() -> None:
    with pytest.raises(KernelError, match="Not at its end after 20 cycles") as found:
        example("chain").kernel().run(limit=20)
    assert "it was at work" in found.value.message and "Raise the limit" in found.value.remedy
