"""The language of kernels: what it makes of arrays, loops, threads, colors and steps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from support.fabric_twin import twin

from undiced.core.errors import KernelError
from undiced.fabric import CORE, EAST, NORTH, SOUTH, WEST, Command, Control, Kernel, f16, way
from undiced.machine.presets import wse2, wse3
from undiced.sim.fabric import microops as ops
from undiced.sim.fabric.kernel.array import Array
from undiced.sim.fabric.kernel.build import Built, built
from undiced.sim.fabric.kernel.memory import values_of
from undiced.sim.fabric.routes import Switch


def line(cores: int = 3, size: int = 4) -> tuple[Kernel, Array]:
    kernel = Kernel(cores, name="k")
    return kernel, kernel.array("data", size)


def first_ops(made: Built) -> list[ops.MicroOp]:
    """Operations of the first block."""
    return list(made.program.sections[0].blocks[0][1])


def after(kernel: Kernel, array: Array) -> np.ndarray:
    """An array of all cores once the twin has run the kernel, without set-ups."""
    made = built(kernel, wse3(), setup=0.0, link_rate=1.0)
    outcome = twin(made.program, made.hardware, memory=made.memory)
    assert outcome.status == "finished", outcome.waiting
    return np.array(values_of(outcome.memory, array))


def test_the_language_is_found_at_one_place_and_costs_nothing_before() -> None:
    script = "import sys, undiced; before = set(sys.modules); undiced.fabric.Kernel(2); print('numpy' in before)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_cores_are_named_as_parts_of_a_numpy_array_are() -> None:
    kernel = Kernel(8, 4)
    assert str(kernel[1:-1:2, -1]) == "[1:6:2, 3]"
    assert str(kernel[0]) == "[0, 0:4]"
    assert str(kernel[[5, 1, 3], [0, 2]]) == "[1:6:2, 0:3:2]"
    assert str(kernel[4:4]) == "[none, 0:4]" and len(kernel[4:4]) == 0
    assert str(kernel[::-1]) == "[0:8, 0:4]"


def test_parts_of_arrays_lie_where_numpys_do() -> None:
    kernel = Kernel(2, 3)
    array = kernel.array("a", (4, 6))
    kernel.array("b", 3, f16)
    half = kernel.array("c", (2, 2), f16)
    values = np.random.default_rng(0).normal(size=(3, 2, 4, 6)).astype(np.float32)
    kernel.scatter(array, values)
    kernel.scatter(half[1], [1.5, 2.5], kernel[1, 2])
    memory = kernel.memory()
    for part in (np.s_[:], np.s_[1], np.s_[1:3, ::2], np.s_[-1, 2:], np.s_[:, 3], np.s_[::-1, 1]):
        np.testing.assert_array_equal(
            values_of(memory, array[part]), values[(slice(None), slice(None), *np.index_exp[part])]
        )
    np.testing.assert_array_equal(values_of(memory, half)[2, 1], [[0, 0], [1.5, 2.5]])
    assert half.address % 8 == 0 and kernel.memory_bytes % 8 == 0


def test_an_operation_over_a_loop_walks_with_the_loops_variable() -> None:
    kernel = Kernel(1)
    a, x, y = kernel.array("a", (3, 5)), kernel.array("x", 3), kernel.array("y", 5)
    kernel.scatter(a, np.arange(15).reshape(3, 5))
    kernel.scatter(x, [1, 10, 100])
    with kernel.on(kernel[0]) as pe, pe.loop(3) as j:
        pe.multiply_add(y, y, a[j], x[j])
    [operation] = first_ops(built(kernel, wse3()))
    assert isinstance(operation, ops.Vector) and (operation.extents, operation.loops) == ((3, 5), 1)
    assert operation.setup == pytest.approx(4.48 + 8 / 3), "an iteration's, and its share of entering the loop"
    np.testing.assert_array_equal(after(kernel, y)[0, 0], np.arange(15).reshape(3, 5).T @ [1, 10, 100])


def test_a_loop_around_several_operations_is_written_out() -> None:
    kernel, data = line(1)
    with kernel.on(kernel[0]) as pe, pe.loop(3) as i:
        pe.move(data[i], 2.0)
        pe.add(data[i + 1], data[i], data[i])
    found = first_ops(built(kernel, wse3()))
    assert isinstance(found[0], ops.Delay) and len(found) == 7
    assert all(isinstance(each, ops.Vector) and each.setup == pytest.approx(4.48) for each in found[1:])
    np.testing.assert_array_equal(after(kernel, data)[0, 0], [2, 2, 2, 4])


def test_one_element_as_a_target_takes_a_sum_at_one_element_a_cycle() -> None:
    kernel, data = line(1, 8)
    total = kernel.array("total", 1)[0]
    kernel.scatter(data, np.arange(8))
    with kernel.on(kernel[0]) as pe:
        pe.add(total, total, data)
    [operation] = first_ops(built(kernel, wse3()))
    assert isinstance(operation, ops.Vector) and operation.cycles == 8
    assert after(kernel, total)[0, 0] == 28


def cycles_of(write: Callable[[Kernel], None], machine: str) -> float:
    """Of the elements of a kernel's one operation."""
    kernel = Kernel(1)
    kernel.array("f", 16), kernel.array("g", 16), kernel.array("h", 16, f16), kernel.array("i", 16, f16)
    write(kernel)
    [operation] = first_ops(built(kernel, {"wse2": wse2, "wse3": wse3}[machine]()))
    assert isinstance(operation, ops.Vector)
    return operation.cycles


@pytest.mark.parametrize(
    ("machine", "function", "names", "cycles"),
    [
        ("wse2", "add", "ffg", 8),  # two elements a cycle
        ("wse3", "add", "ffg", 8),  # four, and eight bytes written a cycle
        ("wse2", "multiply", "ffg", 16),
        ("wse3", "multiply", "ffg", 16),
        ("wse2", "add", "hhi", 4),
        ("wse3", "add", "hhi", 4),  # eight, and eight bytes written a cycle
        ("wse2", "maximum", "hhi", 16),
        ("wse2", "move", "fh", 16),  # a conversion
        ("wse3", "move", "fh", 8),  # four a cycle, and eight bytes written
    ],
)
def test_elements_take_what_the_machine_says(machine: str, function: str, names: str, cycles: float) -> None:
    def write(kernel: Kernel) -> None:
        target, *sources = (kernel.arrays[name] for name in names)
        with kernel.on(kernel[0]) as pe:
            getattr(pe, function)(target, *sources)

    assert cycles_of(write, machine) == cycles


def test_library_functions_take_a_call_for_each_element() -> None:
    def write(kernel: Kernel) -> None:
        with kernel.on(kernel[0]) as pe:
            pe.apply("exp", kernel.arrays["f"], kernel.arrays["g"])

    assert cycles_of(write, "wse3") == 16 * 73


def test_set_ups_are_the_machines_unless_said() -> None:
    kernel, data = line(1)
    with kernel.on(kernel[0]) as pe:
        pe.move(data, 1.0)
        pe.move(data, 1.0, setup=7)
        pe.wait()
        pe.turn(kernel.color(), 0)

    def found(setup: float | None) -> list[float]:
        made = first_ops(built(kernel, wse3(), setup=setup))
        return [each.setup if isinstance(each, ops.Vector) else getattr(each, "cycles") for each in made]  # noqa: B009

    assert found(None) == [30.35, 7, 43, 10] and found(2.0) == [2, 7, 0, 0]


def send_all(dtype_size: int) -> tuple[Kernel, Array]:
    kernel = Kernel(2)
    data = kernel.array("data", (3, dtype_size), f16)
    red = kernel.color("red")
    kernel.paint(red, kernel[0], way(CORE, to=EAST))
    kernel.paint(red, kernel[1], way(WEST, to=CORE))
    with kernel.on(kernel[0]) as pe:
        pe.move(red, data)
    with kernel.on(kernel[1]) as pe:
        pe.move(data, red)
    kernel.scatter(data, np.arange(3 * dtype_size).reshape(3, dtype_size), kernel[0])
    return kernel, data


@pytest.mark.parametrize(("row", "extents"), [(4, (12,)), (3, (3, 3))])
def test_rows_of_halves_are_taken_together_where_no_wavelet_spans_two(row: int, extents: tuple[int, ...]) -> None:
    kernel, data = send_all(row)
    [operation] = first_ops(built(kernel, wse3()))
    assert isinstance(operation, ops.Vector) and operation.extents == extents
    found = after(kernel, data)
    np.testing.assert_array_equal(found[0, 1], found[0, 0])


def hub(colors: int) -> Kernel:
    """A core that sends on several colors, one after the other, each to the core above or below it."""
    kernel = Kernel(1, 2)
    data = kernel.array("data", 4)
    for number in range(colors):
        color = kernel.color(f"c{number}")
        kernel.paint(color, kernel[0, 0], way(CORE, to=SOUTH))
        kernel.paint(color, kernel[0, 1], way(NORTH, to=CORE))
        with kernel.on(kernel[0, 0], color.name) as pe:
            pe.move(color, data)
        with kernel.on(kernel[0, 1], color.name) as pe:
            pe.move(data, color)
    kernel.scatter(data, np.arange(4), kernel[0, 0])
    return kernel


def binds(made: Built) -> list[ops.Bind]:
    return [
        op
        for section in made.program.sections
        for _, block in section.blocks
        for op in block
        if isinstance(op, ops.Bind)
    ]


def test_colors_of_a_core_have_queues_of_their_own_while_there_are_any() -> None:
    made = built(hub(6), wse3())
    outs = [op.target.queue for section in made.program.sections for _, block in section.blocks for op in block
            if isinstance(op, ops.Vector) and isinstance(op.target, ops.Out)]  # fmt: skip
    assert outs == [2, 3, 4, 5, 6, 7] and not binds(made)


def test_an_output_queue_is_bound_anew_where_hardware_wants_it() -> None:
    kernel = hub(10)
    found = binds(built(kernel, wse3()))
    assert [(each.queue, each.color) for each in found] == [(2, 8), (3, 9)]
    assert found[0].cycles == 2 * 43 + 10, "two tasks and a register"
    assert not binds(built(kernel, wse2())), "a queue of WSE-2 serves any color"
    np.testing.assert_array_equal(after(kernel, kernel.arrays["data"])[1, 0], np.arange(4))


def test_a_block_that_needs_an_output_queue_twice_is_refused() -> None:
    kernel = Kernel(1, 2)
    data = kernel.array("data", 4)
    with kernel.on(kernel[0, 0], "all") as pe:
        for number in range(9):
            color = kernel.color(f"c{number}")
            kernel.paint(color, kernel[0, 0], way(CORE, to=SOUTH))
            kernel.paint(color, kernel[0, 1], way(NORTH, to=CORE))
            pe.move(color, data)
    with pytest.raises(KernelError, match=r"Cores \[0, 0\] send on c8 and c0 in step all"):
        built(kernel, wse3())


def test_blocks_of_one_name_are_one_section_where_order_does_not_matter() -> None:
    kernel, data = line(4)
    for cores, step in ((kernel[0], "a"), (kernel[1], "b"), (kernel[2], "a"), (kernel[0], "a"), (kernel[1], "a")):
        with kernel.on(cores, step) as pe:
            pe.move(data, 1.0)
    sections = built(kernel, wse3()).program.sections
    assert [(each.name, len(each.blocks)) for each in sections] == [("a", 2), ("b", 1), ("a", 2)]


def test_microthreads_control_wavelets_and_delays_become_micro_operations() -> None:
    kernel, data = line(2)
    red, turn = kernel.color("red"), Control(((Command.ADVANCE, 1),))
    kernel.paint(red, kernel[0], way(CORE, to=EAST), ring=True)
    kernel.paint(red, kernel[1], way(WEST, to=CORE))
    with kernel.on(kernel[0]) as pe:
        with pe.thread() as one:
            pe.move(red.then(control=turn), data)
        with pe.thread() as two:
            pe.delay(3)
        pe.send(red, turn)
        pe.wait(one)
        pe.wait()
    found = first_ops(built(kernel, wse3(), setup=0.0))
    assert (one, two) == (0, 1)
    fork, other, send, first, both = found
    assert isinstance(fork, ops.Fork) and isinstance(fork.script[0], ops.Vector)
    assert fork.script[0].target == ops.Out(2, 0, control=turn)
    assert other == ops.Fork(1, (ops.Delay(3),)) and send == ops.Send(2, 0, turn)
    assert (first, both) == (ops.Wait((0,), 0.0), ops.Wait((0, 1), 0.0))


def test_a_repaint_becomes_a_register_write_and_its_ways_count_as_painted() -> None:
    """A core may send on a color that it gives a way itself, also in a microthread."""
    kernel, data = line(2)
    red = kernel.color("red")
    with kernel.on(kernel[0]) as pe:
        with pe.thread():
            pe.repaint(red, way(CORE, to=EAST), ring=True)
            pe.move(red, data)
        pe.repaint(kernel.color("blue"))
    with kernel.on(kernel[1]) as pe:
        pe.repaint(red, way(WEST, to=CORE))
        pe.move(data, red)
    fork, blue = first_ops(built(kernel, wse3()))
    cycles = wse3().link.route_write_cycles.value
    assert isinstance(fork, ops.Fork)
    assert fork.script[0] == ops.Repaint(0, Switch((way(CORE, to=EAST),), ring=True), cycles)
    assert blue == ops.Repaint(1, None, cycles)
    kernel.scatter(data, [3.0] * data.size, kernel[0])
    assert kernel.run()[data][0, 1].tolist() == [3.0] * data.size


def test_what_goes_over_nothing_is_left_out() -> None:
    kernel, data = line(1)
    with kernel.on(kernel[0]) as pe:
        pe.move(data[2:2], 1.0)
        with pe.loop(0):
            pe.move(data, 1.0)
    with kernel.on(kernel[5:]) as pe:
        pe.move(data, 1.0)
    assert [block for section in built(kernel, wse3()).program.sections for _, block in section.blocks] == [()]
