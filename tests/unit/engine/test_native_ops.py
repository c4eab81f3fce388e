"""Each pointwise and matrix instruction against its numpy meaning, on one, two and three threads."""

from __future__ import annotations

import numpy as np
import pytest
from native_rig import F32, THREADS, Rig, Seq, barriers, embed
from numpy.testing import assert_allclose

from undiced.engine import meaning
from undiced.program.host.field import Activation, Partition, RopeStyle
from undiced.program.host.instr import Instr
from undiced.program.host.instruction import (
    Activate,
    Add,
    Embed,
    Gather,
    Glu,
    Layernorm,
    Matmul,
    PositionScale,
    Quantize,
    Rmsnorm,
    Rope,
    Scale,
    Softcap,
)

RNG = np.random.default_rng(7)
WIDTH = 96
TABLE = RNG.normal(size=(40, WIDTH)).astype(np.float32)
TOKENS = [3, 17, 0, 39, 5, 5, 22]
ROWS = TABLE[TOKENS]
EMBED = embed(WIDTH)
POINTWISE = [kind for kind in Activation if kind is not Activation.SWIGLU_OSS]


def run(instr: Instr, *weights: F32, threads: int = 2, width: int = WIDTH, constants: list[F32] | None = None) -> F32:
    """Buffer 1 after `instr`; buffer 0 holds ROWS (and is buffer 1's copy where it rotates in place)."""
    stream = barriers((EMBED, Scale(dst=1, a=0, columns=min(WIDTH, width), factor=1.0), instr))
    rig = Rig(stream, [(WIDTH, 0, 0), (width, 0, 0)], [TABLE, *weights], constants=constants or [], threads=threads)
    rig.run(TOKENS)
    assert_allclose(rig.buffer(0), ROWS)
    return rig.buffer(1)


@pytest.mark.parametrize("threads", THREADS)
def test_embed_scales_accumulates_and_looks_up_positions(threads: int) -> None:
    positions = RNG.normal(size=(40, WIDTH)).astype(np.float32)
    stream = barriers(
        (
            Embed(dst=0, table=0, columns=WIDTH, scale=2.5),
            Embed(dst=0, table=1, columns=WIDTH, scale=1.0, accumulate=True, positions=True),
        )
    )
    rig = Rig(stream, [(WIDTH, 0, 0)], [TABLE, positions], threads=threads)
    rig.run(TOKENS, position=11)
    assert_allclose(rig.buffer(0), ROWS * np.float32(2.5) + positions[11 : 11 + len(TOKENS)], rtol=1e-6)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(("start", "columns", "width"), [(0, 96, 96), (32, 64, 16)])
def test_rmsnorm(threads: int, start: int, columns: int, width: int) -> None:
    weight = RNG.normal(size=width).astype(np.float32)
    out = run(
        Rmsnorm(dst=1, a=0, weight=1, start=start, columns=columns, width=width, eps=1e-5), weight, threads=threads
    )
    expected = ROWS.copy()
    expected[:, start : start + columns] = meaning.rmsnorm(ROWS[:, start : start + columns], weight, width, 1e-5)
    assert_allclose(out, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("threads", THREADS)
def test_layernorm(threads: int) -> None:
    weight, bias = RNG.normal(size=(2, WIDTH)).astype(np.float32)
    out = run(Layernorm(dst=1, a=0, weight=1, bias=2, columns=WIDTH, eps=1e-5), weight, bias, threads=threads)
    assert_allclose(out, meaning.layernorm(ROWS, weight, bias, 1e-5), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("style", RopeStyle)
@pytest.mark.parametrize("factors", [False, True])
def test_rope_turns_the_first_dims_of_each_head(threads: int, style: RopeStyle, factors: bool) -> None:
    frequencies = (10000.0 ** -(np.arange(8) / 8)).astype(np.float32)
    divisors = np.linspace(1, 4, 8).astype(np.float32)
    instr = Rope(
        dst=1,
        a=1,
        factors=1 if factors else -1,
        start=32,
        heads=2,
        head_dim=32,
        dims=16,
        style=style,
        constant=0,
        magnitude=1.25,
    )
    out = run(instr, *([divisors] if factors else []), threads=threads, constants=[frequencies])
    angles = np.arange(len(TOKENS))[:, None] * (frequencies.astype(np.float64) / (divisors if factors else 1))
    expected = ROWS.copy()
    expected[:, 32:] = meaning.rope(ROWS[:, 32:], angles, 2, 32, 16, style, 1.25)
    assert_allclose(out, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("style", RopeStyle)
def test_rope_turns_the_last_dims_of_each_head(threads: int, style: RopeStyle) -> None:
    frequencies = (10000.0 ** -(np.arange(4) / 4)).astype(np.float32)
    instr = Rope(
        dst=1, a=0, start=0, heads=4, head_dim=24, offset=16, dims=8, style=style, constant=0, magnitude=1.0
    )  # fmt: skip
    angles = np.arange(len(TOKENS))[:, None] * frequencies.astype(np.float64)
    expected = meaning.rope(ROWS, angles, 4, 24, 8, style, 1.0, 16)
    out = run(instr, threads=threads, constants=[frequencies])
    assert_allclose(out, expected, rtol=1e-5, atol=2e-6)
    assert_allclose(out.reshape(-1, 4, 24)[:, :, :16], ROWS.reshape(-1, 4, 24)[:, :, :16])


@pytest.mark.parametrize("threads", THREADS)
def test_queries_grow_with_their_position(threads: int) -> None:
    grown = PositionScale(dst=1, a=0, start=16, columns=64, floor=3, scale=0.5)
    rig = Rig(barriers((EMBED, grown)), [(WIDTH, 0, 0), (WIDTH, 0, 0)], [TABLE], threads=threads)
    rig.run(TOKENS, position=20)
    factors = 1 + 0.5 * np.log1p(np.arange(21, 21 + len(TOKENS)) // 3)
    assert_allclose(rig.buffer(1)[:, 16:80], ROWS[:, 16:80] * factors[:, None], rtol=1e-6)


def test_rope_is_accurate_at_far_positions() -> None:
    frequencies = (10000.0 ** -(np.arange(8) / 8)).astype(np.float32)
    ones = np.ones((2, 16), np.float32)
    far = 131_000
    stream = barriers(
        (
            embed(16),
            Rope(dst=0, a=0, start=0, heads=1, head_dim=16, dims=16, style=RopeStyle.HALF, constant=0, magnitude=1.0),
        )
    )
    rig = Rig(stream, [(16, 0, 0)], [ones], constants=[frequencies], context=1 << 17, pages=1 << 12)
    rig.step([Seq([0, 1], far, range(1 << 12))])
    angles = np.array([[far], [far + 1]]) * frequencies.astype(np.float64)
    expected = np.concatenate([np.cos(angles) - np.sin(angles), np.cos(angles) + np.sin(angles)], axis=1)
    assert_allclose(rig.buffer(0), expected, atol=1e-6)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kind", POINTWISE)
def test_glu(threads: int, kind: Activation) -> None:
    out = run(Glu(dst=1, a=0, gate=0, up=48, columns=48, activation=kind), threads=threads, width=48)
    assert_allclose(out, meaning.ACTIVATIONS[kind](ROWS[:, :48]) * ROWS[:, 48:], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kind", POINTWISE)
def test_activate(threads: int, kind: Activation) -> None:
    out = run(Activate(dst=1, a=0, columns=WIDTH, activation=kind), threads=threads)
    assert_allclose(out, meaning.ACTIVATIONS[kind](ROWS), rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("threads", THREADS)
def test_add_scale_softcap(threads: int) -> None:
    assert_allclose(run(Add(dst=1, a=0, b=1, columns=WIDTH), threads=threads), ROWS + ROWS)
    assert_allclose(run(Scale(dst=1, a=0, columns=WIDTH, factor=-3.0), threads=threads), ROWS * np.float32(-3))
    capped = run(Softcap(dst=1, a=0, columns=WIDTH, cap=1.5), threads=threads)
    assert_allclose(capped, 1.5 * np.tanh(ROWS / 1.5), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("threads", THREADS)
def test_gather_takes_sampled_rows(threads: int) -> None:
    stream = barriers((EMBED, Gather(dst=1, a=0, columns=WIDTH)))
    rig = Rig(stream, [(WIDTH, 0, 0), (WIDTH, 1, 0)], [TABLE], threads=threads)
    rig.step([Seq([1, 2, 3], pages=(0,)), Seq([4], pages=(1,)), Seq([5, 6], pages=(2,))], rows=[2, 3, 5])
    assert_allclose(rig.buffer(1), TABLE[[3, 4, 6]])


def dense_bytes(values: F32, fmt: str) -> np.ndarray:
    if fmt == "F16":
        return values.astype(np.float16)
    return (values.view(np.uint32) >> 16).astype(np.uint16) if fmt == "BF16" else values


def dense_values(values: F32, fmt: str) -> F32:
    if fmt == "F16":
        return values.astype(np.float16).astype(np.float32)
    return ((values.view(np.uint32) >> 16) << 16).view(np.float32) if fmt == "BF16" else values


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("fmt", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("rows", [32, 70, 130])
def test_dense_matmul_with_bias_and_accumulate(threads: int, fmt: str, rows: int) -> None:
    weight = RNG.normal(size=(rows, WIDTH)).astype(np.float32)
    bias = RNG.normal(size=rows).astype(np.float32)
    matmul = Matmul(dst=1, a=0, weight=1, bias=2, start=16, rows=rows, columns=WIDTH)
    again = Matmul(dst=1, a=0, weight=1, start=16, rows=rows, columns=WIDTH, accumulate=True)
    rig = Rig(
        barriers((EMBED, matmul, again)), [(WIDTH, 0, 0), (rows + 16, 0, 0)], [TABLE, weight, bias],
        slots=[(40, WIDTH, "F32", 1), (rows, WIDTH, fmt, 1), (1, rows, "F32", 1)], threads=threads,
    )  # fmt: skip
    rig.load(1, dense_bytes(weight, fmt), fmt, rows, WIDTH)
    rig.run(TOKENS)
    once = ROWS @ dense_values(weight, fmt).T
    assert_allclose(rig.buffer(1)[:, 16:], once * 2 + bias, rtol=1e-4, atol=2e-4)


def q8_0(values: F32) -> tuple[np.ndarray, F32]:
    """Bytes of Q8_0 blocks, and the values they stand for."""
    blocks = values.reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1) / 127).astype(np.float16)
    codes = np.clip(np.rint(blocks / scale[:, None].astype(np.float32)), -127, 127).astype(np.int8)
    raw = np.concatenate([scale.view(np.uint8).reshape(-1, 2), codes.view(np.uint8)], axis=1)
    return raw, (codes * scale[:, None].astype(np.float32)).reshape(values.shape)


def int8_rounded(x: F32) -> F32:
    """Activations as blocks of 32 int8 codes hold them."""
    blocks = x.reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    return (np.rint(blocks / scale) * scale).reshape(x.shape)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("partition", [Partition.TOKENS, Partition.COLUMNS])
def test_quantized_matmul(threads: int, partition: Partition) -> None:
    raw, weight = q8_0(RNG.normal(size=(80, WIDTH)).astype(np.float32))
    stream = barriers(
        (
            EMBED,
            Quantize(dst=2, a=0, columns=WIDTH, by=partition),
            Matmul(dst=1, a=2, weight=1, start=0, rows=80, columns=WIDTH),
        )
    )
    rig = Rig(
        stream, [(WIDTH, 0, 0), (80, 0, 0), (WIDTH, 0, 1)], [TABLE],
        slots=[(40, WIDTH, "F32", 1), (80, WIDTH, "Q8_0", 1)], threads=threads,
    )  # fmt: skip
    rig.load(1, raw, "Q8_0", 80, WIDTH)
    rig.run(TOKENS)
    assert_allclose(rig.buffer(1), int8_rounded(ROWS) @ weight.T, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("count", [1, 7, 64])
def test_sixteen_bits_hold_what_rounding_to_eight_loses(threads: int, count: int) -> None:
    raw, weight = q8_0(RNG.normal(size=(80, WIDTH)).astype(np.float32))
    bias = RNG.normal(size=80).astype(np.float32)
    product = Matmul(dst=1, a=2, weight=1, bias=2, start=0, rows=80, columns=WIDTH)
    more = Matmul(dst=1, a=2, weight=1, start=0, rows=80, columns=WIDTH, accumulate=True)
    rig = Rig(
        barriers((EMBED, Quantize(dst=2, a=0, columns=WIDTH, by=Partition.TOKENS), product, more)),
        [(WIDTH, 0, 0), (80, 0, 0), (WIDTH, 0, 2)], [],
        slots=[(40, WIDTH, "F32", 1), (80, WIDTH, "Q8_0", 1), (1, 80, "F32", 1)], threads=threads,
    )  # fmt: skip
    rig.load(0, TABLE, "F32", 40, WIDTH)
    rig.load(1, raw, "Q8_0", 80, WIDTH)
    rig.engine.load_vector(2, bias)
    tokens = [i % 40 for i in range(count)]
    rig.run(tokens)
    exact = 2 * TABLE[tokens] @ weight.T + bias
    rounded = 2 * int8_rounded(TABLE[tokens]) @ weight.T + bias
    assert np.abs(rig.buffer(1) - exact).max() < 0.02 * np.abs(rounded - exact).max()


def loaded(parts: list[tuple[F32, list[int], bool]], threads: int) -> F32:
    """Rows of a matrix slot made of parts (as stored, rows chosen, transposed), read back by EMBED."""
    rows = sum(len(chosen) for _, chosen, _ in parts)
    rig = Rig(barriers((EMBED,)), [(WIDTH, 0, 0)], [], slots=[(rows, WIDTH, "F32", 1)], threads=threads)
    sources = [(m.view(np.uint8).reshape(-1), "F32", *m.shape, np.array(c, np.int32), turned) for m, c, turned in parts]
    rig.engine.load([(0, sources)])
    rig.run(range(rows))
    return rig.buffer(0)


@pytest.mark.parametrize("threads", THREADS)
def test_load_stacks_selects_and_transposes(threads: int) -> None:
    first, second = (RNG.normal(size=(n, WIDTH)).astype(np.float32) for n in (50, 64))
    few, many = [3, 1, 49], list(range(63, 10, -1))
    stacked = loaded([(first, few, False), (second, many, False)], threads)
    assert_allclose(stacked, np.concatenate([first[few], second[many]]))
    turned = loaded([(np.ascontiguousarray(second.T), many, True)], threads)
    assert_allclose(turned, second[many])
