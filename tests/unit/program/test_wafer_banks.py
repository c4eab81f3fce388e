"""The rule of banks, and which vectors instructions read together."""

from itertools import product
from typing import get_args

import numpy as np
import pytest
from msgspec.structs import replace
from support.streams import shares, sliced_sum, value

from undiced.machine.arithmetic import banks
from undiced.machine.presets import wse3
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.banks import Banks
from undiced.program.wafer.layout import Roots
from undiced.program.wafer.pairs import PAIRS, Pair, pairs
from undiced.program.wafer.program import Stream
from undiced.program.wafer.share import Shares
from undiced.program.wafer.step import FULL
from undiced.program.wafer.tree import Tree
from undiced.program.wafer.value import DType, Kind, Value, View

F16, F32 = DType.F16, DType.F32
WSE3 = banks(wse3().core)


def found(instruction: isa.Instruction, *values: Value, rule: Banks = WSE3, trees: tuple[Tree, ...] = ()) -> list[Pair]:
    stream = Stream("s", values, (instruction,))
    return list(pairs(stream, shares(*values, trees=trees, step=FULL), rule))


def relation(pair: Pair) -> int | None:
    return WSE3.relation(pair.starts, pair.loops)


def test_every_instruction_says_what_it_reads_together() -> None:
    assert set(PAIRS) == set(get_args(isa.Instruction))


@pytest.mark.parametrize("element", [2, 4])
def test_aligned_vectors_never_meet_if_they_start_four_bytes_apart_modulo_eight(element: int) -> None:
    for first, second in product(range(0, 32, 4), repeat=2):
        apart = WSE3.relation((first, second), ((100, element, element),)) == 0
        assert apart == (first % 8 == (second + 4) % 8)


def test_reads_of_one_cycle_differ_modulo_four_banks() -> None:
    """Each of two banks: what a pair that is held apart reads in every cycle."""
    for first, second in product(range(0, 32, 2), repeat=2):
        if WSE3.relation((first, second), ((8, 4, 4),)) == 0:
            taken = [{(at // 4 * 2 + n) % 4 for n in (0, 1)} for at in (first, second)]
            assert not taken[0] & taken[1]


@pytest.mark.parametrize(
    ("starts", "loops", "expected"),
    [
        ((2, 0), ((12, 2, 2),), None),  # an odd word: 16-bit elements come to meet
        ((0, 0), ((12, 4, 2),), None),  # 32 bits beside 16
        ((0, 0), ((12, 4, 8),), None),  # beside every other one
        ((0, 2), ((12, 4, 4),), 1),  # beside the second of every two that have 16 bits: within one read
        ((0, 0), ((3, 14, 14), (7, 2, 2)), 1),  # rows alike
        ((0, 0), ((3, 14, 0), (7, 2, 2)), None),  # one row again and again, beside rows of seven
        ((0, 0), ((3, 16, 0), (8, 2, 2)), 1),  # of eight
        ((0, 0), ((1, 4, 2), (8, 2, 2)), 1),  # a loop that goes round once moves nothing
        ((0, 0), ((2, 2, 0), (2, 10, 0)), None),  # two loops that banks take for one: there are still two
    ],
)
def test_vectors_must_advance_alike(
    starts: tuple[int, int], loops: tuple[tuple[int, int, int], ...], expected: int | None
) -> None:
    assert WSE3.relation(starts, loops) == expected


def test_another_modulus_is_another_period() -> None:
    wide = Banks(8, 512)
    assert (wide.period, wide.half) == (16, 8)
    assert [wide.relation((0, start), ((9, 2, 2),)) for start in (0, 4, 8, 16)] == [1, None, 0, 1]


def test_scalars_are_no_vectors() -> None:
    a, b = value("a", ("kv", 2), ("position", 50)), value("b", ("kv", 2))
    assert not found(isa.Combine("n", "subtract", "a", "a", "b"), a, b)
    assert not found(isa.Combine("n", "add", "b", "b", "c"), b, value("c"))
    one = value("one", ("kv", 1))
    assert not found(isa.Combine("n", "add", "one", "one", "one"), one)


def test_two_widths_are_added_as_they_are_and_converted_for_a_product() -> None:
    a, b = value("a", ("flat", 9)), value("b", ("flat", 9), dtype=F16)
    [pair] = found(isa.Combine("n", "add", "a", "a", "b"), a, b)
    assert pair == Pair(("a", "b"), (0, 0), ((9, 4, 2),))
    assert not found(isa.Combine("n", "multiply", "a", "a", "b"), a, b)


def test_views_are_read_where_they_lie() -> None:
    """Of two in turn, and of a view's end."""
    both = value("both", ("flat", 12), dtype=F16)
    gate, up = (value(name, ("feature", 6), dtype=F16, view=View("both", 0, 2, n)) for n, name in enumerate("gu"))
    [pair] = found(isa.Combine("n", "multiply", "g", "g", "u"), both, gate, up)
    assert pair == Pair(("both", "both"), (0, 2), ((6, 4, 4),)) and relation(pair) == 1
    end = value("end", ("feature", 3), dtype=F16, view=View("u", -3))
    [pair] = found(isa.Combine("n", "add", "c", "c", "end"), both, up, end, value("c", ("feature", 3), dtype=F16))
    assert pair == Pair(("c", "both"), (0, 14), ((3, 2, 4),))


def test_sums_of_a_product_are_read_where_they_are_not_kept() -> None:
    x, y = value("x", ("hidden", 6), dtype=F16), value("y", ("feature", 48), dtype=F16)
    w = value("w", ("hidden", 6), ("feature", 48), dtype=F16, kind=Kind.WEIGHT)
    made = isa.Product("n", "x", ("w",), ("y",), ("feature",))
    expected = Pair(("w", "y"), (0, 0), ((48, 2, 2), (6, 96, 0)))
    assert found(made, x, w, y) == []
    assert found(made, x, w, y, rule=Banks(WSE3.modulus, 95)) == [expected]
    assert found(replace(made, unpinned=True), x, w, y) == [expected]
    assert found(replace(made, accumulate=True), x, w, y) == [expected]
    wide = replace(y, dtype=F32)
    assert relation(found(replace(made, unpinned=True), x, w, wide)[0]) is None
    assert found(replace(made, unpinned=True), replace(x, dtype=F32), w, wide) == []  # rows are converted before


def test_a_rotation_reads_its_operand_beside_cosines_and_exchanged_beside_sines() -> None:
    def both(dtype: DType) -> list[int | None]:
        names = ("a", "cosine", "sine", "turned")
        values = [value(name, ("pair", 6), ("turn", 2), dtype=dtype) for name in names]
        return list(map(relation, found(isa.Rotate("n", "turned", "a", "cosine", "sine"), *values)))

    assert both(F32) == [1, 0]  # an exchanged element lies in the other read
    assert both(F16) == [1, 1]  # in the same one


def test_a_roots_slice_is_read_where_all_cores_hold_it() -> None:
    tree, _ = sliced_sum(32, 12, 3)
    every = value("every", ("flat", 12), kind=Kind.WEIGHT)
    mine, sums = (value(name, ("flat", 12), columns=(Roots(32, 0),)) for name in ("mine", "sums"))
    stream = Stream(
        "s", (every, mine, sums), (isa.Slice("n", "mine", "every"), isa.Combine("n", "add", "sums", "sums", "mine"))
    )
    [pair] = pairs(stream, shares(every, mine, sums, trees=(tree,)), WSE3)
    assert pair == Pair(("sums", "every"), (0, 0), ((4, 4, 4), (3, 0, 16)))


def places(s: Shares, name: str) -> np.ndarray:
    """Bytes from its holder's address to each element of a value, in the value's shape: views taken by slicing."""
    held = s.values[name]
    if held.view is None:
        return np.arange(s.size(name)).reshape(s.shape(name)) * (4 if held.dtype is F32 else 2)
    flat, view = places(s, held.view.parent).ravel()[held.view.offset :], held.view
    whole = flat[: len(flat) // view.of * view.of].reshape(-1, view.of)[:, view.pick : view.pick + view.count]
    return whole.ravel()[: s.size(name)].reshape(s.shape(name))


@pytest.mark.parametrize("seed", range(200))
def test_pairs_are_those_of_every_element(seed: int) -> None:
    """Of two values, one of which may lack outer dimensions and both of which may be picked out of others."""
    draw = np.random.default_rng(seed)
    sizes = [("kv", int(draw.integers(1, 4))), ("group", int(draw.integers(1, 4))), ("lane", int(draw.integers(2, 7)))]
    values = []
    for name in "ab":
        dims = sizes if name == "a" else sizes[int(draw.integers(0, 3)) :]
        dtype, elements = (F16, F32)[draw.integers(2)], int(np.prod([size for _, size in dims]))
        count = int(draw.choice([1, dims[-1][1]]))
        of = count + int(draw.integers(0, 3))
        offset, pick = int(draw.integers(0, 5)), int(draw.integers(0, of - count + 1))
        whole = offset + elements // count * of
        values += [
            value(f"{name}.holder", ("flat", whole), dtype=dtype),
            value(
                f"{name}.picked", ("flat", elements), dtype=dtype, view=View(f"{name}.holder", offset, of, pick, count)
            ),
            value(name, *dims, dtype=dtype, view=View(f"{name}.picked")),
        ]
    s = shares(*values)
    a, b = places(s, "a"), places(s, "b")
    halves = {
        (int(x) // 4 + int(y) // 4 + 1) % 2 for x, y in zip(a.ravel(), np.broadcast_to(b, a.shape).ravel(), strict=True)
    }
    [pair] = found(isa.Combine("n", "add", "a", "a", "b"), *values)
    assert relation(pair) == (halves.pop() if len(halves) == 1 else None)
    assert pair.elements == a.size
