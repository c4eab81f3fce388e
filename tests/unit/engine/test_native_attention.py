"""Paged attention of the native engine against numpy: ragged batches, shuffled pages, windows, sinks, long contexts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from msgspec import structs
from native_rig import F32, THREADS, Rig, Seq, barriers, embed, sampling
from numpy.testing import assert_allclose, assert_array_equal

from undiced import _native
from undiced.core.kv_type import KvType
from undiced.engine import meaning
from undiced.engine.stored import stored_keys, stored_values
from undiced.program.host.instruction import Attention, Gather, KvStore

PAGE = _native.PAGE_TOKENS
PAGES = 64


@dataclass(frozen=True)
class Shape:
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 16
    window: int = 0
    chunk: int = 0
    softcap: float = 0.0
    sinks: bool = False
    kv_type: KvType = "f16"

    @property
    def q(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv(self) -> int:
        return self.kv_heads * self.head_dim


class Cache:
    """A one-layer program over a table of (q, k, v) rows; token id = row of the table = position in a long text.

    Buffer 1 has the result; with `sampled` buffer 3 has what attention makes of the sampled rows' queries alone.
    """

    def __init__(
        self, shape: Shape, threads: int = 2, rows: int = 700, seed: int = 3, pages: int = PAGES, sampled: bool = False
    ) -> None:
        rng = np.random.default_rng(seed)
        self.shape = shape
        self.table = rng.normal(size=(rows, shape.q + 2 * shape.kv)).astype(np.float32)
        self.sinks = rng.normal(size=shape.heads).astype(np.float32)
        q, kv = shape.q, shape.kv
        self.scale = shape.head_dim**-0.5
        attention = Attention(
            dst=1, q=0, sinks=1 if shape.sinks else -1, kv_layer=0, start=0, heads=shape.heads,
            kv_heads=shape.kv_heads, head_dim=shape.head_dim, window=shape.window, chunk=shape.chunk,
            scale=self.scale, softcap=shape.softcap,
        )  # fmt: skip
        store = KvStore(
            k=0, v=0, kv_layer=0, k_start=q, v_start=q + kv, kv_heads=shape.kv_heads, head_dim=shape.head_dim
        )
        again = (Gather(dst=2, a=0, columns=q), structs.replace(attention, q=2, dst=3)) if sampled else ()
        self.rig = Rig(
            barriers((embed(q + 2 * kv), store, attention, *again)),
            [(q + 2 * kv, 0, 0), (q, 0, 0), (q, 1, 0), (q, 1, 0)],
            [self.table, self.sinks] if shape.sinks else [self.table],
            kv=[(shape.kv_heads, shape.head_dim, shape.window or shape.chunk)], threads=threads, batch=4, tokens=256,
            samples=64, pages=pages, kv_type=shape.kv_type,
        )  # fmt: skip

    def expected(self, tokens: range, position: int) -> F32:
        """Attention of tokens[position:] in the context of all of `tokens`; keys and values as the cache keeps them."""
        s, rows = self.shape, self.table[list(tokens)]
        q = rows[position:, : s.q].reshape(-1, s.heads, s.head_dim)
        kv = rows[:, s.q :].reshape(len(rows), 2, s.kv_heads, s.head_dim)
        keys, values = stored_keys(kv[:, 0], s.kv_type), stored_values(kv[:, 1], s.kv_type)
        at = np.arange(position, len(rows), dtype=np.int32)
        sinks = self.sinks if s.sinks else None
        return meaning.attention(q, keys, values, at, s.window, (self.scale, s.softcap), sinks, s.chunk)


def pages_for(count: int, seed: int, most: int = PAGES) -> list[int]:
    return [int(p) for p in np.random.default_rng(seed).permutation(most)[:count]]


SHAPES = {
    "grouped": Shape(),
    "one head per group": Shape(heads=3, kv_heads=3, head_dim=8),
    "one kv head": Shape(heads=5, kv_heads=1, head_dim=32),
    "window": Shape(window=20),
    "window over pages": Shape(window=70),
    "chunk": Shape(chunk=20),
    "chunk of pages": Shape(chunk=96),
    "softcap": Shape(softcap=2.0),
    "sinks": Shape(sinks=True),
    "all": Shape(window=50, softcap=3.0, sinks=True),
    "int8": Shape(kv_type="int8"),
    "int8, many heads": Shape(heads=14, kv_heads=2, head_dim=40, kv_type="int8"),
    "int8, chunk": Shape(chunk=20, kv_type="int8"),
    "int8, all": Shape(window=50, softcap=3.0, sinks=True, kv_type="int8"),
}


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("name", SHAPES)
def test_prompt_in_chunks_then_one_by_one(name: str, threads: int) -> None:
    cache = Cache(SHAPES[name], threads)
    pages = pages_for(8, seed=1)
    done = 0
    for chunk in (1, 37, 90, 1, 1, 2, 66, 1):
        cache.rig.step([Seq(range(done, done + chunk), done, pages)])
        done += chunk
        expected = cache.expected(range(done), done - chunk)
        assert_allclose(cache.rig.buffer(1), expected, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("name", ["grouped", "chunk", "all", "int8", "int8, all"])
def test_ragged_batch_of_prompts_and_decodes(name: str, threads: int) -> None:
    cache = Cache(SHAPES[name], threads)
    order = pages_for(40, seed=2)
    home = [order[:10], order[10:20], order[20:30], order[30:]]
    for s, length in enumerate((150, 3, 64, 31)):
        cache.rig.step([Seq(range(s, s + length), 0, home[s])])
    news = [(150, 1), (3, 29), (64, 70), (31, 1)]
    cache.rig.step([Seq(range(s + p, s + p + n), p, home[s]) for s, (p, n) in enumerate(news)])
    expected = [cache.expected(range(s, s + p + n), p) for s, (p, n) in enumerate(news)]
    assert_allclose(cache.rig.buffer(1), np.concatenate(expected), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("name", ["grouped", "sinks", "window over pages", "chunk of pages", "int8", "int8, all"])
def test_long_context_is_cut_over_pages_and_merged(name: str, threads: int) -> None:
    cache = Cache(SHAPES[name], threads)
    pages = pages_for(22, seed=5)
    for start in range(0, 660, 220):
        cache.rig.step([Seq(range(start, start + 220), start, pages)])
    for position, count in ((660, 1), (661, 3), (664, 4)):
        cache.rig.step([Seq(range(position, position + count), position, pages)])
        expected = cache.expected(range(position + count), position)
        assert_allclose(cache.rig.buffer(1), expected, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("begin", [250, 255, 505, 2044, 2048, 3066, 4088])
@pytest.mark.parametrize("shape", [
    Shape(), Shape(heads=20, kv_heads=1), Shape(window=300), Shape(window=700, sinks=True), Shape(chunk=512),
    Shape(chunk=2047), Shape(kv_type="int8"), Shape(window=700, sinks=True, kv_type="int8"),
])  # fmt: skip
def test_a_row_of_a_draft_has_the_bits_that_it_has_alone(shape: Shape, begin: int, threads: int) -> None:
    """Wherever the cuts between chunks of pages lie, also between the draft's rows."""
    cache = Cache(shape, threads, rows=begin + 8, pages=160)
    pages = pages_for(160, seed=7, most=160)
    for start in range(0, begin, 256):
        cache.rig.step([Seq(range(start, min(start + 256, begin)), start, pages)])
    cache.rig.step([Seq(range(begin, begin + 8), begin, pages)])
    together = cache.rig.buffer(1)
    assert_allclose(together, cache.expected(range(begin + 8), begin), rtol=2e-3, atol=2e-4)
    for row in range(8):
        cache.rig.step([Seq([begin + row], begin + row, pages)])
        assert_array_equal(cache.rig.buffer(1)[0], together[row])


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("name", ["grouped", "one kv head", "window over pages", "chunk of pages", "all", "int8"])
def test_a_prompts_row_has_the_same_bits_however_the_prompt_is_cut(name: str, threads: int) -> None:
    """Where its length is known; else as long as more than 32 of its tokens come at a time, and of the first 256
    positions whatever comes.
    """

    def result(*chunks: int, known: int = 0) -> F32:
        cache, pages = Cache(SHAPES[name], threads), pages_for(14, seed=4)
        nothing, none = np.zeros(0, np.int32), np.zeros(0, np.float32)
        cache.rig.engine.open_slot(0, nothing, nothing, none, nothing, nothing, known)
        rows, done = [], 0
        for chunk in chunks:
            cache.rig.step([Seq(range(done, done + chunk), done, pages)])
            rows.append(cache.rig.buffer(1))
            done += chunk
        return np.concatenate(rows)

    whole = result(256, 184)
    assert_array_equal(result(40, 71, 33, 33, 73, 190), whole)
    assert_array_equal(result(96, 154, 150, 40), whole)
    assert_array_equal(result(32, 2, 3, 180, 1, 32, 6, 184)[:256], whole[:256])
    small = (32, 2, 3, 180, 1, 32, 6, 7, 1, 12, 1, 100, 32, 1, 30)
    assert_array_equal(result(*small, known=440), whole)
    assert_array_equal(result(*[31] * 14, 6, known=440), whole)
    generated = [1] * 30  # behind a prompt
    assert_array_equal(result(256, 154, *generated, known=410), result(256, 154, *generated))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("name", ["grouped", "one kv head", "window over pages", "chunk of pages", "all", "int8"])
def test_sampled_rows_alone_have_the_bits_that_they_have_among_all(name: str, threads: int) -> None:
    """Of prompts, drafts whose rows lie apart, and single tokens; with none, one and several rows of a sequence."""
    cache, order = Cache(SHAPES[name], threads, sampled=True), pages_for(64, seed=6)
    homes = [order[at : at + 16] for at in range(0, 64, 16)]
    steps: list[tuple[list[tuple[int, int]], list[tuple[int, ...]]]] = [  # (position, tokens) and rows by sequence
        ([(0, 180), (0, 70), (0, 3), (0, 1)], [(0, 2, 3, 77, 178, 179), (), (1,), (0,)]),
        ([(180, 180), (70, 40), (3, 8), (1, 1)], [(100, 179), (39,), (1, 2, 5, 7), ()]),
        ([(360, 8), (110, 8), (11, 1), (2, 6)], [(0, 2, 4, 6), (0, 1, 3, 4, 5, 7), (), (5,)]),
        ([(368, 1), (118, 1), (12, 1), (8, 1)], [(0,), (0,), (), (0,)]),
        ([(369, 1), (119, 1)], [(), (0,)]),
    ]
    for news, sampled in steps:
        starts = np.cumsum([0, *(count for _, count in news)])
        rows = [int(starts[s]) + row for s, some in enumerate(sampled) for row in some]
        owners = [s for s, some in enumerate(sampled) for _ in some]
        sequences = [Seq(range(s + p, s + p + n), p, homes[s]) for s, (p, n) in enumerate(news)]
        cache.rig.step(sequences, rows, sampling(len(rows), slot=owners, target=1))
        whole = cache.rig.buffer(1)
        assert_array_equal(cache.rig.buffer(3), whole[rows])
        expected = [cache.expected(range(s, s + p + n), p) for s, (p, n) in enumerate(news)]
        assert_allclose(whole, np.concatenate(expected), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("name", ["grouped", "int8"])
def test_results_do_not_depend_on_the_batch_or_the_team(name: str) -> None:
    def decode(threads: int, crowd: bool) -> F32:
        cache = Cache(SHAPES[name], threads)
        cache.rig.step([Seq(range(200), 0, range(20))])
        cache.rig.step([Seq(range(200, 400), 200, range(20))])
        others = [Seq(range(30), 0, (30,)), Seq([9], 0, (31,))] if crowd else []
        cache.rig.step([*others, Seq([400], 400, range(20))])
        return cache.rig.buffer(1)[-1]

    alone = decode(1, crowd=False)
    for threads in THREADS:
        assert_array_equal(decode(threads, crowd=True), alone)


@pytest.mark.parametrize("name", ["grouped", "int8"])
def test_sequences_share_the_pages_of_a_common_prefix(name: str) -> None:
    cache = Cache(SHAPES[name])
    cache.rig.step([Seq(range(64), 0, (7, 3))])
    cache.rig.step([Seq([64], 64, (7, 3, 11)), Seq([90], 64, (7, 3, 12))])
    kept = cache.rig.buffer(1)
    assert_allclose(kept[0], cache.expected(range(65), 64)[0], rtol=2e-3, atol=2e-4)
    assert not np.allclose(kept[0], kept[1], atol=1e-2)


@pytest.mark.parametrize("name", ["window", "chunk", "int8, chunk"])
def test_limited_layers_never_look_at_pages_left_behind(name: str) -> None:
    cache = Cache(SHAPES[name])
    pages = list(range(8))
    cache.rig.step([Seq(range(200), 0, pages)])
    cache.rig.step([Seq([200], 200, [-1] * 5 + pages[5:])])
    assert_allclose(cache.rig.buffer(1), cache.expected(range(201), 200), rtol=2e-3, atol=2e-4)


def test_int8_takes_about_half_the_memory_and_is_near_to_f16() -> None:
    shape = Shape(head_dim=64)
    wide, narrow = Cache(shape, pages=2048), Cache(replace(shape, kv_type="int8"), pages=2048)
    ratio = narrow.rig.engine.memory()["kv"] / wide.rig.engine.memory()["kv"]
    assert ratio == pytest.approx((64 + 4 + 64 + 2) / 256, abs=0.05)  # whole huge pages
    for cache in (wide, narrow):
        cache.rig.step([Seq(range(200), 0, range(10))])
    assert_allclose(narrow.rig.buffer(1), wide.rig.buffer(1), rtol=0, atol=0.02)


def test_a_guess_that_was_wrong_is_written_over() -> None:
    """In the middle of a page, between tokens that are kept."""
    cache, twin = Cache(SHAPES["int8"]), Cache(SHAPES["int8"])
    cache.rig.step([Seq(range(37), 0, (5, 2))])
    cache.rig.step([Seq([300, 301, 302], 37, (5, 2))])
    twin.rig.step([Seq(range(37), 0, (5, 2))])
    for one in (cache, twin):
        one.rig.step([Seq([37, 38], 37, (5, 2))])
    assert_array_equal(cache.rig.buffer(1), twin.rig.buffer(1))


def test_unknown_types_and_latents_in_int8_are_refused() -> None:
    for kv, kv_type, words in (
        ((1, 8, 0), "int4", "there are f16 and int8"),
        ((1, 8, 0, 1), "int8", "latents are f16"),
    ):
        with pytest.raises(ValueError, match=words):
            Rig((), [(8, 0, 0)], [], slots=[], kv=[kv], kv_type=kv_type)


@pytest.mark.parametrize(
    ("heads", "kv_heads", "threads", "multiple"),
    [(9, 3, 1, 1), (9, 3, 2, 128), (8, 4, 2, 96), (4, 1, 4, 64), (4, 4, 2, 128)],
)
def test_prompts_that_threads_share_evenly_are_whole_units_of_each(
    heads: int, kv_heads: int, threads: int, multiple: int
) -> None:
    cache = Cache(Shape(heads=heads, kv_heads=kv_heads), threads=threads)
    assert cache.rig.engine.prompt_multiple == multiple
