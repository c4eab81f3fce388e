"""Published points and formulas of collectives, simulated wavelet by wavelet: the figures of docs/validation.md, and
formulas at every size that is small.
"""

from __future__ import annotations

from math import log2

import pytest
from support import line_formulas as formulas
from support import vendor_kernels
from support.fabric_examples import NAMES, example
from support.markdown import ROOT

from undiced.fabric import CORE, EAST, WEST, Kernel, way
from undiced.machine.presets import wse3
from undiced.validation.fabric_rows import FABRIC_ROWS, FabricRow
from undiced.validation.table import fabric_table

LARGE = {"star, 512 cores, 64 wavelets", "tree, 512 cores, 1024 wavelets"}  # millions of hops
SIMULATED = {"[NOWR]", "V10", "ST"}  # with a link of one wavelet per cycle


def made(row: FabricRow, *more: int) -> Kernel:
    if row.example in NAMES:
        return example(row.example).kernel(*row.size, *more)
    kernel: Kernel = getattr(vendor_kernels, row.example)(*row.size)
    return kernel


def cycles(row: FabricRow, setup: float | None) -> int:
    """Of the kernel of a row; of the stencil a step, which is half of what two more take."""

    def run(*more: int) -> int:
        rate = 1.0 if row.id in SIMULATED else None
        return made(row, *more).run(row.machine, setup=setup, link_rate=rate).cycles

    return -(-(run(3) - run(1)) // 2) if row.id == "ST" else run()


ROWS = [
    pytest.param(
        row,
        id=f"{row.id}, {row.what}, {row.machine}",
        marks=[pytest.mark.slow] * (row.what in LARGE or row.published > 1e6),
    )
    for row in FABRIC_ROWS
]


@pytest.mark.parametrize("row", ROWS)
def test_a_point_takes_what_the_page_says(row: FabricRow) -> None:
    assert row.wires is not None or row.whole is not None
    if row.wires is not None:
        assert cycles(row, 0.0) == row.wires
    if row.whole is not None:
        assert cycles(row, None) == row.whole


def test_the_page_has_these_figures() -> None:
    page = (ROOT / "docs" / "validation.md").read_text()
    for cells in fabric_table():
        assert f"| {' | '.join(cells)} |\n" in page


def wires(name: str, **size: int) -> int:
    return example(name).kernel(**size).run("wse2", setup=0.0, link_rate=1.0).cycles


@pytest.mark.parametrize("cores", [2, 3, 4, 7, 16, 33])
@pytest.mark.parametrize("wavelets", [1, 2, 5, 16, 129])
def test_broadcasts_chains_and_stars_take_what_their_formulas_say(cores: int, wavelets: int) -> None:
    assert wires("multicast", cores=cores, wavelets=wavelets) == formulas.broadcast_line(wavelets, cores)
    assert wires("chain", cores=cores, wavelets=wavelets) == formulas.chain_reduce(wavelets, cores)
    # The formula leaves out the hop of the nearest member; and the farthest is as far as a broadcast goes.
    star = max(formulas.star_reduce(wavelets, cores) + 1, formulas.broadcast_line(wavelets, cores))
    assert wires("star", cores=cores, wavelets=wavelets) == star


@pytest.mark.parametrize("cores", [4, 16, 64])
@pytest.mark.parametrize("wavelets", [1, 4, 16, 256])
def test_trees_and_two_phases_lie_between_the_terms_of_their_formulas_and_the_sum_of_these(
    cores: int, wavelets: int
) -> None:
    rounds, group = int(log2(cores)), int(cores**0.5)
    tree, two = (
        wires("tree", cores=cores, wavelets=wavelets),
        wires("two_phase", cores=cores, group=group, wavelets=wavelets),
    )
    for found, contention, depth, formula in (
        (tree, wavelets * rounds, rounds, formulas.tree_reduce(wavelets, cores)),
        (two, 2 * wavelets, 2 * group - 2, formulas.two_phase_reduce(wavelets, cores)),
    ):
        distance = cores - 1  # what was held up loses a cycle at each root, at most
        assert max(contention, distance + 5 * depth) <= found <= contention + distance + 5 * depth + group
        assert abs(found / formula - 1) < 0.12


def single(words: int, *, tasks: bool) -> Kernel:
    """Words to the next core, one by one: sent by a scalar loop, or taken by a task each."""
    kernel = Kernel(2)
    data, red = kernel.array("data", words), kernel.color("red")
    kernel.paint(red, kernel[0], way(CORE, to=EAST))
    kernel.paint(red, kernel[1], way(WEST, to=CORE))
    with kernel.on(kernel[0]) as pe:
        pe.move(red, data) if tasks else pe.emit_each(red, data)
    with kernel.on(kernel[1]) as pe:
        pe.take_each(data, red) if tasks else pe.move(data, red)
    return kernel


@pytest.mark.parametrize("tasks", [True, False])
def test_a_word_by_itself_costs_its_task_or_its_pass_of_a_loop(tasks: bool) -> None:
    few, many = (single(words, tasks=tasks).run("wse3", setup=0.0).cycles for words in (8, 72))
    core = wse3().core
    expected = core.data_task_cycles.value if tasks else core.emit_cycles.value
    assert (many - few) / 64 == pytest.approx(expected, abs=0.07), "set-ups end with whole cycles"
