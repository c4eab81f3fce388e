"""What the language of kernels refuses, and in which words: every refusal has its place and a remedy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from undiced.core.errors import KernelError
from undiced.fabric import CORE, EAST, SOUTH, WEST, Kernel, f16, way
from undiced.machine.presets import toy
from undiced.sim.fabric.kernel.array import Array
from undiced.sim.fabric.kernel.build import built
from undiced.sim.fabric.kernel.memory import values_of


def line(cores: int = 3, size: int = 4) -> tuple[Kernel, Array]:
    kernel = Kernel(cores, name="k")
    return kernel, kernel.array("data", size)


def off_mesh(kernel: Kernel, data: Array) -> None:
    kernel[3]


def off_mesh_row(kernel: Kernel, data: Array) -> None:
    kernel[0, -2]


def painted_twice(kernel: Kernel, data: Array) -> None:
    red = kernel.color("red")
    kernel.paint(red, kernel[0:2], way(CORE, to=EAST))
    kernel.paint(red, kernel[1:], way(WEST, to=CORE))


def no_target(kernel: Kernel, data: Array) -> None:
    kernel.paint(kernel.color("red"), kernel[0], way(CORE, to=()))


def five_positions(kernel: Kernel, data: Array) -> None:
    kernel.paint(kernel.color("red"), kernel[0], *[way(CORE, to=EAST)] * 5)


def off_the_edge(kernel: Kernel, data: Array) -> None:
    kernel.paint(kernel.color("red"), kernel[1:], way(CORE, to=EAST))


def off_the_south(kernel: Kernel, data: Array) -> None:
    kernel.paint(kernel.color("red"), kernel[1], way(CORE, to=SOUTH))


def deaf_neighbor(kernel: Kernel, data: Array) -> None:
    red = kernel.color("red")
    kernel.paint(red, kernel[0], way(CORE, to=EAST))
    kernel.paint(red, kernel[1], way(EAST, to=CORE))


def unpainted_sender(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[:], "talk") as pe:
        pe.move(kernel.color("red"), data)


def unpainted_hearer(kernel: Kernel, data: Array) -> None:
    red = kernel.color("red")
    kernel.paint(red, kernel[2], way(CORE, to=WEST))
    kernel.paint(red, kernel[1], way(EAST, to=CORE))
    with kernel.on(kernel[0:2], "listen") as pe:
        pe.move(data, red)


def too_wide(kernel: Kernel, data: Array) -> None:
    built(Kernel(9, name="k"), toy(8, 8, 48 << 10))


def too_large(kernel: Kernel, data: Array) -> None:
    kernel.array("large", (64, 1024))


def too_many_colors(kernel: Kernel, data: Array) -> None:
    for _ in range(22):
        kernel.color()


def other_shapes(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe:
        pe.add(data, data, data[1:])


def no_size(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe:
        pe.add(kernel.color("red"), kernel.color("blue"), 1.0)


def vector_factor(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe:
        pe.multiply_add(data, data, data, data)


def one_of_many(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe:
        pe.move(data[0], data)


def outside(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe, pe.loop(4) as i:
        pe.move(data[i + 1], 0.0)


def many_subscripts(kernel: Kernel, data: Array) -> None:
    data[0, 0]


def name_taken(kernel: Kernel, data: Array) -> None:
    kernel.array("data", 3)


def empty_array(kernel: Kernel, data: Array) -> None:
    kernel.array("nothing", (3, 0))


def other_values(kernel: Kernel, data: Array) -> None:
    kernel.scatter(data, np.zeros((3, 4)), kernel[0:2])


def deep_loops(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe, pe.loop(1), pe.loop(1), pe.loop(1), pe.loop(1):
        pe.move(data, 0.0)


def nested_threads(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe, pe.thread(0), pe.thread(1):
        pe.move(data, 0.0)


def ninth_thread(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe, pe.thread(8):
        pe.move(data, 0.0)


def long_loop(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe, pe.loop(100_000):
        pe.move(data, 0.0)
        pe.move(data, 1.0)


def mixed_types(kernel: Kernel, data: Array) -> None:
    red, half = kernel.color("red"), kernel.array("half", 4, f16)
    kernel.paint(red, kernel[1], way(CORE, to=WEST))
    kernel.paint(red, kernel[0], way(EAST, to=CORE))
    with kernel.on(kernel[0]) as pe:
        pe.add(data, red, half)


def foreign_array(kernel: Kernel, data: Array) -> None:
    other = Kernel(3).array("other", 4)
    with kernel.on(kernel[0], "talk") as pe, pe.thread():
        pe.move(data, other)


def foreign_color(kernel: Kernel, data: Array) -> None:
    red = Kernel(3).color("red")
    with kernel.on(kernel[1], "talk") as pe:
        pe.move(red, data)


def color_twice(kernel: Kernel, data: Array) -> None:
    red = kernel.color("red")
    with kernel.on(kernel[0]) as pe:
        pe.add(data, red, red)


def negative_setup(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe:
        pe.move(data, 1.0, setup=-1)


def endless_delay(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe:
        pe.delay(float("inf"))


def no_array(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe:
        pe.emit_each(kernel.color("red"), kernel.color("blue"))  # type: ignore[arg-type]


def outside_its_loop(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe:
        with pe.loop(2) as i:
            pe.move(data[i], 0.0)
        pe.move(data[i], 1.0)


def numpy_values(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[0]) as pe:
        pe.add(data, data, np.ones(4))  # type: ignore[arg-type]


def far_rows(kernel: Kernel, data: Array) -> None:
    wide = kernel.array("wide", (4, 200))
    with kernel.on(kernel[0]) as pe:
        pe.move(wide[:, :3], 0.0)


def written_off_the_edge(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[2]) as pe, pe.thread():
        pe.repaint(kernel.color("red"), way(CORE, to=EAST))


def six_ways(kernel: Kernel, data: Array) -> None:
    with kernel.on(kernel[2]) as pe:
        pe.repaint(kernel.color("red"), *[way(CORE, to=EAST)] * 6)


def foreign_written(kernel: Kernel, data: Array) -> None:
    blue = Kernel(3).color("blue")
    with kernel.on(kernel[1], "talk") as pe:
        pe.repaint(blue, way(WEST, to=CORE))


REFUSED: list[tuple[Callable[[Kernel, Array], None], str]] = [
    (off_mesh, "Column 3 lies off a mesh of 3 x 1 cores. Columns are 0 to 2, or -3 to -1 counted from the end."),
    (off_mesh_row, "Row -2 lies off a mesh of 3 x 1 cores."),
    (painted_twice, "Router (1, 0) is painted twice with color red, now as one of [1:3, 0]."),
    (no_target, "A way of color red at cores [0, 0] goes from CORE to nowhere."),
    (five_positions, "Color red was given 5 switch positions at cores [0, 0]. A router has 1 to 4."),
    (off_the_edge, "Color red leads off the mesh to the east of router (2, 0)."),
    (written_off_the_edge, "Color red leads off the mesh to the east of router (2, 0)."),
    (six_ways, "Color red was given 6 switch positions by a repaint. A router has 1 to 4."),
    (off_the_south, "Color red leads off the mesh to the south of router (1, 0)."),
    (deaf_neighbor, "Router (0, 0) sends color red to the east, where router (1, 0) takes none from the west."),
    (unpainted_sender, "Core (0, 0) sends color red in step talk, and its router has no way for that."),
    (unpainted_hearer, "Core (0, 0) hears color red in step listen, and its router has no way for that."),
    (too_wide, "k takes 9 x 1 cores, and toy-8x8:48K has 8 x 8."),
    (too_large, "The arrays of k take 262,160 bytes of each core, and toy-8x8:48K has 49,152."),
    (too_many_colors, "k has 22 colors, and toy-8x8:48K leaves programs 21."),
    (other_shapes, "The operands of add have different shapes: data (4,), data (4,), data (3,)."),
    (no_size, "Nothing says how many elements add is of. Give count"),
    (vector_factor, "The factor data of a multiply_add has the shape (4,); hardware takes one element."),
    (one_of_many, "The target data of move is one element, and its sources are (4,)."),
    (outside, "Place 1 to 4 lies outside of data, which has 4 there. Places are 0 to 3."),
    (many_subscripts, "data has 1 dimensions, and 2 subscripts were given."),
    (name_taken, "There is an array data already."),
    (empty_array, "Array nothing of shape (3, 0)"),
    (
        other_values,
        "Values of shape (3, 4) for data at cores [0:2, 0]. Numbers by [rows, columns, elements] are (1, 2, 4)",
    ),
    (deep_loops, "A loop of 1 iterations, 3 loops deep."),
    (nested_threads, "A microthread with the number 1 inside another."),
    (ninth_thread, "A microthread with the number 8."),
    (long_loop, "A loop of 100000 iterations around 2 statements would be written out."),
    (foreign_array, "Step talk at cores [0, 0] uses an array other of another kernel."),
    (foreign_written, "Step talk at cores [1, 0] uses a color blue of another kernel."),
    (foreign_color, "Step talk at cores [1, 0] uses a color red of another kernel."),
    (color_twice, "data = add(red, red), setup=None, count=None. An operation takes each color once"),
    (negative_setup, "data = move(1.0), setup=-1"),
    (endless_delay, "A delay of inf cycles. Give 0 to 1,000,000,000."),
    (no_array, "Neither red nor blue is an array."),
    (outside_its_loop, "A part of data goes with a loop, and move stands outside of it."),
    (numpy_values, "add takes no ndarray. Give an array of the kernel, a color or a number; numpy's values are filled"),
    (far_rows, "wide = move(0.0) goes over 4 elements with a stride of 200; descriptors hold 32,767 and 127."),
    (mixed_types, "data = add(red, half) has arrays of f16, f32 beside wavelets."),
]


@pytest.mark.parametrize(("wrong", "said"), REFUSED, ids=lambda each: getattr(each, "__name__", ""))
def test_what_breaks_a_rule_is_refused_with_its_place_and_a_remedy(
    wrong: Callable[[Kernel, Array], None], said: str
) -> None:
    kernel, data = line()
    with pytest.raises(KernelError) as refused:
        wrong(kernel, data)
        built(kernel, toy(8, 8, 48 << 10))
    assert said in str(refused.value) and refused.value.remedy.endswith(".")


@pytest.mark.parametrize(
    "choice", [{"link_rate": 0.0}, {"link_rate": 1.5}, {"setup": -1.0}, {"skew": -1}, {"jitter": 1 << 40}, {"limit": 0},
               {"threads": 1000}, {"setup": float("nan")}],
)  # fmt: skip
def test_absurd_choices_of_a_run_are_refused(choice: dict[str, float]) -> None:
    [(name, value)] = choice.items()
    with pytest.raises(KernelError, match=f"{name}={value} is no choice") as refused:
        Kernel(2).run(**choice)  # type: ignore[arg-type]
    assert refused.value.remedy.startswith("Give ")


def test_nothing_is_filled_where_no_core_is_named() -> None:
    kernel, data = line()
    kernel.scatter(data, 1.0, kernel[5:])
    kernel.scatter(data, [1, 2, 3, 4], kernel[1])
    assert values_of(kernel.memory(), data)[0].tolist() == [[0] * 4, [1, 2, 3, 4], [0] * 4]
    with pytest.raises(KernelError, match="for data at cores"):
        kernel.scatter(data, "words")


@pytest.mark.parametrize("size", [(0, 1), (1, 5000)])
def test_absurd_meshes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(KernelError, match="1 to 4096 columns and rows"):
        Kernel(*size)
