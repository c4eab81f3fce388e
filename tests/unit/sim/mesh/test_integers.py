"""Narrow weights on cores: words and what steps make of them, groups with scales, and what a model's logits become."""

from dataclasses import replace

import numpy as np
import pytest
from support.mesh_configs import DENSE, MIXED
from support.mesh_models import randomly
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import EXACT
from undiced.model import KvState, run_graph
from undiced.program.wafer.unpacking import FIELDS
from undiced.program.wafer.value import GROUPS, DType
from undiced.sim.mesh.executor import MeshExecutor
from undiced.sim.mesh.quantizing import paired_words, quantized, unpacked, words_of

TOKENS = [5, 11, 3, 36, 0, 7, 7, 20, 14]
LARGEST = {DType.I8: 127, DType.I4: 7}
SHAPES = [(1, 1), (5, 7), (3, 64), (4, 100), (70, 3)]


def drawn(count, row):
    return np.random.RandomState(row).standard_normal((2, 3, count, row)).astype(np.float32)


def groups(array, size):
    """The elements of each group of a core's rows."""
    count, row = array.shape
    if row < size:
        return [array[n : n + size // row] for n in range(0, count, size // row)]
    return [array[n, k : k + size] for n in range(count) for k in range(0, row, size)]


@pytest.mark.parametrize(("count", "row"), SHAPES)
def test_no_element_of_8_bits_is_further_away_than_half_a_step_of_its_group(count, row):
    rows = drawn(count, row)
    made, _ = quantized(rows, DType.I8)
    assert made.shape == rows.shape
    for core in np.ndindex(2, 3):
        for whole, held in zip(*(groups(each[core], GROUPS[DType.I8]) for each in (rows, made)), strict=True):
            step = np.abs(whole).max() / 127
            assert np.abs(whole - held).max() <= 0.502 * step  # the scale itself has 16 bits


@pytest.mark.parametrize(("count", "row"), SHAPES)
def test_4_bits_are_nearer_than_with_the_scale_of_their_largest(count, row):
    rows = drawn(count, row)
    made, _ = quantized(rows, DType.I4)
    nearer = 0
    for core in np.ndindex(2, 3):
        for whole, held in zip(*(groups(each[core], GROUPS[DType.I4]) for each in (rows, made)), strict=True):
            step = np.float32(np.float16(np.abs(whole).max() / np.float32(7)))
            nearest = np.rint(whole / step) * step
            errors = [float(((whole - each) ** 2).sum()) for each in (held, nearest)]
            assert errors[0] <= errors[1] * 1.00001
            nearer += errors[0] < 0.999 * errors[1]
    assert nearer or row * count < 7


@pytest.mark.parametrize("dtype", [DType.I8, DType.I4])
def test_steps_make_of_every_word_the_integers_that_it_holds(dtype):
    fields = FIELDS[dtype]
    codes = np.random.RandomState(0).randint(-LARGEST[dtype], LARGEST[dtype] + 1, (len(fields), 1, 1, 500, 4))
    words = words_of([each.astype(np.float32) for each in codes], fields)
    for each, field in zip(codes, fields, strict=True):
        assert np.array_equal(unpacked(words, field.steps), each)


def test_words_of_pairs_are_the_nearest_of_all():
    """Every word that means the second row's code is tried for the first."""
    draw = np.random.RandomState(1)
    first = (draw.standard_normal((1, 1, 60, 1)) * 150).astype(np.float32)
    first[0, 0, :4, 0] = 0, 1e-9, -1.5, 495
    second = draw.uniform(-16, 17, first.shape).astype(np.float32)
    words = paired_words(first, second)
    above, below = (unpacked(words, field.steps) for field in FIELDS[DType.F8])
    every = np.arange(1 << 16, dtype=np.uint16)
    every = every[(every >> 13) % 4 == 2]  # of the exponent's highest bits the first is set, the second is not
    means = unpacked(every, FIELDS[DType.F8][1].steps)
    assert np.isfinite(means).all() and sorted(set(means)) == [n / 4 for n in range(-63, 65)]
    for a, b, x, y in zip(above.flat, below.flat, first.flat, second.flat, strict=True):
        assert abs(b - y) == np.abs(means - y).min()
        like = unpacked(every[means == b], ())
        assert abs(a - x) == np.abs(like - x).min()


@pytest.mark.parametrize("row", [7, 28, 64, 100])
def test_pairs_of_8_bits_are_between_8_bits_and_4(row):
    rows = drawn(21, row)
    off = [float(((quantized(rows, dtype)[0] - rows) ** 2).mean()) for dtype in (DType.I8, DType.F8, DType.I4)]
    assert 8 * off[0] < off[1] < off[2] / 15


@pytest.mark.parametrize("dtype", list(GROUPS))
def test_nothing_but_zeros_stays_so(dtype):
    assert not quantized(np.zeros((1, 1, 3, 5), np.float32), dtype)[0].any()


@pytest.mark.parametrize(
    ("config", "groups"), [(DENSE, 1), (MIXED, 1), (MIXED, 3)], ids=["dense", "mixed", "on columns of their own"]
)
def test_fewer_bits_are_further_from_the_graph(config, groups):
    graph, weights = randomly(replace(config, dim=48, ffn=64))
    wanted = run_graph(graph, weights, TOKENS, KvState())
    apart = []
    for dtype in (DType.F16, DType.I8, DType.F8, DType.I4):
        program = compile_mesh(graph, 3, 4, choices=replace(EXACT, weights=dtype), context=64, groups=groups)
        found = MeshExecutor(program, weights.__getitem__, "wafer").step([(0, TOKENS)]).logits
        apart.append(float(np.sqrt(np.mean((found - wanted) ** 2)) / wanted.std()))
    assert apart[0] < apart[1] < apart[2] < apart[3]
    assert apart[0] < 0.01 and apart[1] < 0.1


def test_32_bit_numbers_are_not_quantized():
    graph, weights = randomly(DENSE)
    program = compile_mesh(graph, 3, 4, choices=replace(EXACT, weights=DType.I4), context=64)
    found = MeshExecutor(program, weights.__getitem__).step([(0, TOKENS)]).logits
    wanted = run_graph(graph, weights, TOKENS, KvState())
    assert np.abs(found - wanted).max() < 2e-3 * wanted.std()
