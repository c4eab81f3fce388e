"""Latent attention of the native engine against numpy: each head's product, and heads that meet rows of one cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from native_rig import F32, THREADS, Rig, Seq, barriers, embed
from numpy.testing import assert_allclose, assert_array_equal

from undiced import _native
from undiced.engine import meaning
from undiced.program.host.field import Partition
from undiced.program.host.instruction import Embed, Quantize
from undiced.program.host.latent_instruction import HeadMatmul, LatentAttention, LatentStore

RNG = np.random.default_rng(5)
HEADS, ROWS, COLUMNS, STRIDE = 5, 48, 32, 64
X = RNG.normal(size=(90, HEADS * STRIDE)).astype(np.float32)
STACK = RNG.normal(size=(HEADS * ROWS, COLUMNS)).astype(np.float32)


def by_heads(x: F32, stack: F32) -> F32:
    heads = x.reshape(len(x), HEADS, STRIDE)[:, :, :COLUMNS]
    return np.einsum("thc,hrc->thr", heads, stack.reshape(HEADS, ROWS, COLUMNS)).reshape(len(x), -1)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("tokens", [1, 7, 90])
def test_each_head_meets_its_own_matrix(tokens: int, threads: int) -> None:
    product = HeadMatmul(dst=1, a=0, weight=1, heads=HEADS, rows=ROWS, columns=COLUMNS, stride=STRIDE)
    slots = [(90, HEADS * STRIDE, "F32", 1), (HEADS * ROWS, COLUMNS, "F32", HEADS)]
    rig = Rig(barriers((embed(HEADS * STRIDE), product)), [(HEADS * STRIDE, 0, 0), (HEADS * ROWS, 0, 0)], [X, STACK],
              slots=slots, threads=threads, tokens=90)  # fmt: skip
    rig.run(range(tokens))
    assert_allclose(rig.buffer(1), by_heads(X[:tokens], STACK), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("tokens", [1, 7, 90])
def test_codes_of_a_head_meet_its_quantized_matrix(tokens: int, threads: int) -> None:
    codes = RNG.integers(-127, 128, (HEADS * ROWS, COLUMNS)).astype(np.int8)
    scale = np.float16(0.01)
    raw = np.concatenate([np.full((len(codes), 1), scale).view(np.uint8), codes.view(np.uint8)], axis=1)
    stream = (
        embed(HEADS * STRIDE),
        Quantize(dst=2, a=0, columns=HEADS * STRIDE, by=Partition.TOKENS),
        HeadMatmul(dst=1, a=2, weight=1, heads=HEADS, rows=ROWS, columns=COLUMNS, stride=STRIDE),
    )
    buffers = [(HEADS * STRIDE, 0, 0), (HEADS * ROWS, 0, 0), (HEADS * STRIDE, 0, 1)]
    slots = [(90, HEADS * STRIDE, "F32", 1), (HEADS * ROWS, COLUMNS, "Q8_0", HEADS)]
    rig = Rig(barriers(stream), buffers, [X], slots=slots, threads=threads, tokens=90)
    rig.load(1, raw, "Q8_0", HEADS * ROWS, COLUMNS)
    rig.run(range(tokens))
    blocks = X[:tokens].reshape(-1, 32)
    steps = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    rounded = (np.rint(blocks / steps) * steps).reshape(tokens, -1)
    assert_allclose(rig.buffer(1), by_heads(rounded, codes * np.float32(scale)), rtol=1e-4, atol=2e-4)


WRONG = [{"rows": 40}, {"heads": 4}, {"columns": 16}, {"stride": 16}, {"stride": 1 << 30}, {"heads": 1 << 30}]


@pytest.mark.parametrize("fields", WRONG)
def test_products_that_do_not_fit_their_stack_are_refused(fields: dict[str, int]) -> None:
    usual = {"heads": HEADS, "rows": ROWS, "columns": COLUMNS, "stride": STRIDE}
    product = HeadMatmul(dst=1, a=0, weight=0, **{**usual, **fields})
    with pytest.raises(ValueError, match="HEAD_MATMUL"):
        Rig((product,), [(HEADS * STRIDE, 0, 0), (HEADS * ROWS, 0, 0)], [STACK],
            slots=[(HEADS * ROWS, COLUMNS, "F32", HEADS)])  # fmt: skip


@dataclass(frozen=True)
class Shape:
    heads: int = 6
    rank: int = 32
    nope: int = 16
    rope: int = 8

    @property
    def widths(self) -> tuple[int, int, int]:
        """Of absorbed queries, of queries as they were, and of a row of the cache."""
        return self.heads * self.rank, self.heads * (self.nope + self.rope), self.rank + self.rope


SHAPES = {
    "few heads": Shape(),
    "an odd number": Shape(heads=5, rank=40),
    "one head": Shape(heads=1),
    "as published": Shape(heads=16, rank=512, nope=128, rope=64),
}


class Cache:
    """One layer over tables of absorbed queries, turned ones and latents; token id = row = position in a long text."""

    def __init__(self, shape: Shape, threads: int = 2, rows: int = 700, pages: int = 64, isa: str = "") -> None:
        rng = np.random.default_rng(3)
        self.shape, self.scale = shape, shape.rank**-0.5
        self.tables = [rng.normal(size=(rows, width)).astype(np.float32) for width in shape.widths]
        loads = [Embed(dst=i, table=i, columns=width, scale=1.0) for i, width in enumerate(shape.widths)]
        store = LatentStore(a=2, kv_layer=0, columns=shape.widths[2])
        attention = LatentAttention(dst=3, q=0, turned=1, kv_layer=0, heads=shape.heads, rank=shape.rank,
                                    nope=shape.nope, rope=shape.rope, scale=self.scale)  # fmt: skip
        self.rig = Rig(
            barriers((*loads, store, attention)), [*((width, 0, 0) for width in (*shape.widths, shape.widths[0]))],
            self.tables, kv=[(1, shape.widths[2], 0, 1)], threads=threads, batch=4, tokens=256, pages=pages, isa=isa,
        )  # fmt: skip

    def expected(self, tokens: range, position: int) -> F32:
        """Attention of tokens[position:] in the context of all of `tokens`; latents rounded as f16."""
        s = self.shape
        absorbed, turned, rows = (table[list(tokens)] for table in self.tables)
        q = np.concatenate(
            [absorbed.reshape(-1, s.heads, s.rank), turned.reshape(-1, s.heads, s.nope + s.rope)[:, :, s.nope :]],
            axis=2,
        )
        keys = rows.astype(np.float16).astype(np.float32)[:, None]
        at = np.arange(position, len(rows), dtype=np.int32)
        return meaning.attention(q[position:], keys, keys[:, :, : s.rank], at, 0, (self.scale, 0.0), None)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("name", SHAPES)
def test_prompt_in_chunks_then_one_by_one(name: str, threads: int) -> None:
    cache, pages, done = Cache(SHAPES[name], threads), list(np.random.default_rng(1).permutation(64)[:8]), 0
    for chunk in (1, 37, 90, 1, 1, 2, 66, 1):
        cache.rig.step([Seq(range(done, done + chunk), done, pages)])
        done += chunk
        assert_allclose(cache.rig.buffer(3), cache.expected(range(done), done - chunk), rtol=2e-3, atol=3e-4)


@pytest.mark.parametrize("level", ["portable", "avx2", "avx512"])
def test_every_level_computes_the_same(level: str) -> None:
    if not _native.isa_supported(level):
        pytest.skip(f"this processor has no {level}")
    cache = Cache(SHAPES["an odd number"], isa=level)
    cache.rig.step([Seq(range(200), 0, range(8))])
    cache.rig.step([Seq([200], 200, range(8))])
    assert_allclose(cache.rig.buffer(3), cache.expected(range(201), 200), rtol=2e-3, atol=3e-4)


@pytest.mark.parametrize("begin", [250, 505, 2044, 3066])
@pytest.mark.parametrize("name", ["few heads", "an odd number"])
def test_a_row_of_a_draft_has_the_bits_that_it_has_alone(name: str, begin: int) -> None:
    """Wherever the cuts between chunks of pages lie, and whatever the team: heads fall into other groups there."""
    alone: list[F32] = []
    for threads in THREADS:
        cache = Cache(SHAPES[name], threads, rows=begin + 8, pages=100)
        for start in range(0, begin, 256):
            cache.rig.step([Seq(range(start, min(start + 256, begin)), start, range(100))])
        cache.rig.step([Seq(range(begin, begin + 8), begin, range(100))])
        together = cache.rig.buffer(3)
        assert_allclose(together, cache.expected(range(begin + 8), begin), rtol=2e-3, atol=3e-4)
        for row in range(8):
            cache.rig.step([Seq([begin + row], begin + row, range(100))])
            assert_array_equal(cache.rig.buffer(3)[0], together[row])
        alone.append(together)
    for others in alone[1:]:
        assert_array_equal(others, alone[0])


def test_results_do_not_depend_on_the_batch() -> None:
    def decode(crowd: bool) -> F32:
        cache = Cache(SHAPES["few heads"])
        cache.rig.step([Seq(range(200), 0, range(20))])
        cache.rig.step([Seq(range(200, 400), 200, range(20))])
        others = [Seq(range(30), 0, (30,)), Seq([9], 0, (31,))] if crowd else []
        cache.rig.step([*others, Seq([400], 400, range(20))])
        return cache.rig.buffer(3)[-1]

    assert_array_equal(decode(crowd=True), decode(crowd=False))


def test_sequences_share_the_pages_of_a_common_prefix() -> None:
    cache = Cache(SHAPES["few heads"])
    cache.rig.step([Seq(range(64), 0, (7, 3))])
    cache.rig.step([Seq([64], 64, (7, 3, 11)), Seq([90], 64, (7, 3, 12))])
    assert_allclose(cache.rig.buffer(3)[0], cache.expected(range(65), 64)[0], rtol=2e-3, atol=3e-4)


REFUSED = [{"rank": 36, "rope": 4}, {"rope": 16}, {"heads": 7}, {"kv_layer": 1}, {"dst": 1}, {"rank": 1 << 30}]


@pytest.mark.parametrize("fields", REFUSED)
def test_attention_that_does_not_fit_its_cache_is_refused(fields: dict[str, int]) -> None:
    s = Shape()
    usual = {"dst": 3, "kv_layer": 0, "heads": s.heads, "rank": s.rank, "nope": s.nope, "rope": s.rope}
    attention = LatentAttention(q=0, turned=1, scale=1.0, **{**usual, **fields})
    with pytest.raises(ValueError, match="LATENT_ATTENTION"):
        Rig((attention,), [(width, 0, 0) for width in (*s.widths, s.widths[0])], [np.ones((2, 8), np.float32)],
            kv=[(1, s.widths[2], 0, 1)])  # fmt: skip


def test_a_cache_of_latents_takes_no_keys_and_has_one_head() -> None:
    with pytest.raises(ValueError, match="holds no latents"):
        Rig((LatentStore(a=0, kv_layer=0, columns=8),), [(8, 0, 0)], [], slots=[], kv=[(1, 8, 0, 0)])
    with pytest.raises(ValueError, match="latents belong to one head"):
        Rig((), [(8, 0, 0)], [], slots=[], kv=[(2, 8, 0, 1)])
    plain, latent = (Rig((), [(8, 0, 0)], [], slots=[], kv=[(1, 64, 0, kind)], pages=1 << 10) for kind in (0, 1))
    assert plain.engine.memory()["kv"] == 2 * latent.engine.memory()["kv"]
