"""Sampling by the native engine: exact choices, distributions by chi-square, penalties, log-probabilities, failures."""

from __future__ import annotations

import numpy as np
import pytest
from native_rig import F32, THREADS, Rig, Seq, barriers, embed, matrix, open_slot, sampling
from numpy.testing import assert_allclose, assert_array_equal

from undiced import _native
from undiced.core.formats import FORMATS
from undiced.engine import meaning
from undiced.engine.backend import NoToken
from undiced.engine.level import LEVELS
from undiced.program.host.field import Partition
from undiced.program.host.instruction import Attention, Gather, KvStore, Matmul, Quantize, Sample

DRAWS = 6_400
BATCH = 64


def logits_rig(table: F32, threads: int = 2) -> Rig:
    """Token t's logits are row t of the table (of two rows at least: a slot of one row is a vector)."""
    vocab = table.shape[1]
    table = np.concatenate([table, np.zeros((1, vocab), np.float32)])
    stream = barriers(
        (
            embed(vocab),
            Gather(dst=1, a=0, columns=vocab),
            Sample(a=1, vocab=vocab),
        )
    )
    return Rig(
        stream, [(vocab, 0, 0), (vocab, 1, 0)], [table], threads=threads, batch=BATCH, tokens=BATCH, pages=BATCH,
        vocab=vocab,
    )  # fmt: skip


def sample(rig: Rig, rows: list[int], **fields: object) -> list[int]:
    """Samples once from each of these rows of the table; row i is sequence and slot i."""
    out = rig.step([Seq([t], 0, (i,)) for i, t in enumerate(rows)], range(len(rows)), sampling(len(rows), **fields))
    return [int(t) for t in out.tokens]


def histogram(rig: Rig, draws: int = DRAWS, **fields: object) -> np.ndarray:
    vocab = rig.buffers[0][0]
    counts = np.zeros(vocab, np.int64)
    for start in range(0, draws, BATCH):
        counter = np.arange(start, start + BATCH)
        np.add.at(counts, sample(rig, [0] * BATCH, counter=counter, seed=99, **fields), 1)
    return counts


def filtered(logits: F32, temperature: float = 1, top_k: int = 0, top_p: float = 1, min_p: float = 0) -> np.ndarray:
    """The distribution that the filters leave: temperature, min-p, top-k, top-p of the rest."""
    p = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    p[p < min_p * p.max()] = 0
    order = np.argsort(-p, kind="stable")
    if top_k:
        p[order[top_k:]] = 0
    p /= p.sum()
    before = np.concatenate([[0], np.cumsum(p[order])[:-1]])
    p[order[before >= top_p]] = 0
    return p / p.sum()


def assert_distribution(counts: np.ndarray, expected: np.ndarray) -> None:
    """Chi-square at six standard deviations: seeds are fixed, so this never fails by chance after it has passed."""
    assert not counts[expected == 0].any()
    total = counts.sum()
    common = expected * total >= 5
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum()) * total
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    chi2 = ((observed - wanted) ** 2 / wanted).sum()
    freedom = len(wanted) - 1
    assert chi2 < freedom + 6 * np.sqrt(2 * freedom) + 6


CASES: dict[str, dict[str, float]] = {
    "plain": {"temperature": 1.0},
    "hot": {"temperature": 1.7},
    "cold": {"temperature": 0.5},
    "top-k": {"temperature": 1.0, "top_k": 7},
    "large top-k": {"temperature": 1.0, "top_k": 1500},
    "top-p": {"temperature": 1.0, "top_p": 0.7},
    "min-p": {"temperature": 1.0, "min_p": 0.05},
    "top-k and top-p": {"temperature": 1.3, "top_k": 20, "top_p": 0.8},
    "large top-k and top-p": {"temperature": 2.0, "top_k": 1200, "top_p": 0.5},
    "min-p and top-p": {"temperature": 1.0, "min_p": 0.02, "top_p": 0.9},
    "everything": {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.01},
}


@pytest.mark.parametrize("vocab", [50, 3000])
@pytest.mark.parametrize("case", CASES)
def test_distributions(case: str, vocab: int) -> None:
    logits = (np.random.default_rng(5).normal(size=(1, vocab)) * 2.5).astype(np.float32)
    rig = logits_rig(logits, threads=1)
    counts = histogram(rig, **CASES[case])
    assert_distribution(counts, filtered(logits[0], **CASES[case]))
    assert_array_equal(rig.buffer(1)[0], logits[0])


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("vocab", [5, 64, 1000, 5001])
def test_greedy_takes_the_largest_and_the_lowest_id_of_equals(threads: int, vocab: int) -> None:
    table = np.random.default_rng(vocab).normal(size=(8, vocab)).astype(np.float32)
    table[3, [vocab - 1, vocab // 2]] = 9.0
    table[4] = 0.0
    tokens = sample(logits_rig(table, threads), list(range(8)))
    assert tokens == list(table.argmax(axis=1))
    assert tokens[3] == vocab // 2 and tokens[4] == 0


def test_top_k_of_one_and_equal_logits() -> None:
    table = np.zeros((1, 400), np.float32)
    rig = logits_rig(table)
    assert sample(rig, [0] * 4, temperature=1.0, top_k=1, seed=range(4)) == [0] * 4
    counts = histogram(rig, temperature=1.0, top_k=10)
    assert counts[:10].sum() == DRAWS and counts[:10].min() > DRAWS // 12
    assert sample(rig, [0] * 4, temperature=1.0, top_p=0.0, seed=range(4)) == [0] * 4


def test_equal_seeds_draw_equally_in_any_batch() -> None:
    table = np.random.default_rng(2).normal(size=(6, 900)).astype(np.float32)
    fields = {"temperature": 1.0, "top_p": 0.9}
    alone = [sample(logits_rig(table), [5], seed=7, counter=c, **fields)[0] for c in range(12)]
    for threads in THREADS:
        rig = logits_rig(table, threads)
        crowd = [sample(rig, [1, 2, 5, 3], seed=7, counter=c, **fields)[2] for c in range(12)]
        assert crowd == alone
    assert len(set(alone)) > 6
    assert alone != [sample(logits_rig(table), [5], seed=8, counter=c, **fields)[0] for c in range(12)]


def test_repetition_penalty_counts_prompt_and_generated_tokens() -> None:
    logits = np.array([[4.0, 3.9, 3.8, -1.0]], np.float32)
    rig = logits_rig(logits)
    open_slot(rig, 0, prompt=[0, 0])
    penalty = {"repetition_penalty": 1.05}
    assert sample(rig, [0], **penalty) == [1]
    assert sample(rig, [0], **penalty) == [0]
    open_slot(rig, 0)
    assert sample(rig, [0], **penalty) == [0]
    assert_array_equal(rig.buffer(1), logits)


def test_frequency_and_presence_penalties_count_generated_tokens_alone() -> None:
    rig = logits_rig(np.array([[1.0, 0.7, 0.0]], np.float32))
    open_slot(rig, 0, prompt=[0] * 9)
    assert [sample(rig, [0], frequency_penalty=0.2)[0] for _ in range(5)] == [0, 0, 1, 0, 1]
    open_slot(rig, 0)
    assert [sample(rig, [0], presence_penalty=0.5)[0] for _ in range(4)] == [0, 1, 0, 0]


def test_bias_and_forbidden_ends() -> None:
    rig = logits_rig(np.array([[1.0, 0.5, 0.0, -3.0]], np.float32))
    open_slot(rig, 0, bias=[(3, 5.0), (0, -1.0)], eos=[3, 1])
    assert sample(rig, [0]) == [3]
    assert sample(rig, [0], min_tokens_mask=1) == [0]
    open_slot(rig, 0, eos=[0])
    draws = {sample(rig, [0], temperature=5.0, seed=1, counter=c, min_tokens_mask=1)[0] for c in range(200)}
    assert draws == {1, 2, 3}


def test_slots_are_independent_and_reset() -> None:
    rig = logits_rig(np.array([[1.0, 0.7, 0.0]], np.float32))
    assert sample(rig, [0, 0, 0], presence_penalty=1.0) == [0, 0, 0]
    open_slot(rig, 1)
    assert sample(rig, [0, 0, 0], presence_penalty=1.0) == [1, 0, 1]


def test_rows_of_a_draft_are_drawn_in_order_until_one_draws_another_token() -> None:
    table = np.array([[1.0, 0.7, 0.5]], np.float32)
    asked = sampling(4, slot=4, presence_penalty=1.0, top_logprobs=1)
    for draft, drawn in (([0, 1, 2], [0, 1, 2, 0]), ([0, 2, 2], [0, 1]), ([2, 1, 2], [0])):
        rig = logits_rig(table.repeat(3, axis=0), threads=3)
        out = rig.step([Seq([0, *draft], 0, (0,))], [0, 1, 2, 3], asked)
        left = 4 - len(drawn)
        assert out.tokens.tolist() == drawn + [_native.NOT_REACHED] * left
        assert (out.logprobs[len(drawn) :] == 0).all() and (out.top_ids[len(drawn) :] == -1).all()
        again = rig.step([Seq([0], len(drawn), (0,))], [0], asked[:1])
        counts = [drawn.count(token) > 0 for token in range(3)]  # what was not reached is not counted
        assert again.tokens[0] == int(np.argmax(table[0] - np.array(counts, np.float32)))


@pytest.mark.parametrize("vocab", [8, 700])
def test_log_probabilities_are_of_the_raw_logits(vocab: int) -> None:
    table = np.random.default_rng(4).normal(size=(3, vocab)).astype(np.float32)
    rig = logits_rig(table)
    open_slot(rig, 0, bias=[(2, 50.0)])
    params = sampling(3, top_logprobs=[5, 0, -1], temperature=[0, 1, 0])
    out = rig.step([Seq([i], 0, (i,)) for i in range(3)], range(3), params)
    logs = meaning.log_softmax(table)
    assert out.tokens[0] == 2
    assert_allclose(out.logprobs, [logs[0, 2], logs[1, out.tokens[1]], 0], rtol=1e-4, atol=1e-4)
    assert_array_equal(out.top_ids[0, :5], np.argsort(-table[0])[:5])
    assert_allclose(out.top_logprobs[0, :5], np.sort(logs[0])[::-1][:5], rtol=1e-4, atol=1e-4)
    assert (out.top_ids[0, 5:] == -1).all() and np.isneginf(out.top_logprobs[0, 5:]).all()
    assert (out.top_ids[1:] == -1).all() and np.isneginf(out.top_logprobs[1:]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("threads", THREADS)
def test_a_row_that_is_not_finite_has_no_token_and_the_others_have_theirs(bad: float, threads: int) -> None:
    table = np.zeros((2, 500), np.float32)
    table[0, 3], table[1, 477] = 1, bad
    rig = logits_rig(table, threads)
    for temperature in (0.0, 1.0):
        alone = sample(rig, [0], temperature=temperature)
        out = rig.step(
            [Seq([t], 0, (i,)) for i, t in enumerate([1, 0, 1])], [0, 1, 2],
            sampling(3, temperature=temperature, top_logprobs=2),
        )  # fmt: skip
        assert out.tokens.tolist() == [_native.NON_FINITE, *alone, _native.NON_FINITE]
        assert out.logprobs[0] == 0 and out.top_ids[0, 0] == -1 and out.top_ids[1, 0] == 3
    assert NoToken.NON_FINITE == _native.NON_FINITE and NoToken.NOTHING_ALLOWED == _native.NOTHING_ALLOWED


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"temperature": 1}, {"temperature": 1, "top_k": 3}])
def test_a_row_that_forbids_every_token_says_so(fields: dict[str, float]) -> None:
    rig = logits_rig(np.zeros((1, 40), np.float32))
    open_slot(rig, 0, eos=range(40))
    open_slot(rig, 1, bias=[(i, -1e6) for i in range(39)])
    out = sample(rig, [0, 0], min_tokens_mask=[1, 0], **fields)
    assert out == [_native.NOTHING_ALLOWED, 39]
    assert sample(rig, [0], **{**fields, "temperature": 0}) == [0]


@pytest.mark.parametrize("fields", [{}, {"temperature": 1.0}, {"temperature": 2.0, "top_k": 3}, {"top_p": 0.9}])
def test_only_allowed_tokens_are_drawn_and_all_else_stays_as_it_is(fields: dict[str, float]) -> None:
    table = np.random.default_rng(8).normal(size=(1, 500)).astype(np.float32)
    rig = logits_rig(table)
    allowed = [3, 64, 65, 499]
    few = np.where(np.isin(np.arange(500), allowed), table[0], -np.inf)
    for slot in range(BATCH):
        open_slot(rig, slot, allowed=allowed)
    fields = {"temperature": 0.0, **fields}
    counts = histogram(rig, 640, **fields)
    if fields["temperature"]:
        assert_distribution(counts, filtered(few.astype(np.float32), **fields))
    else:
        assert counts[few.argmax()] == 640
    out = rig.step([Seq([0], 0, (0,))], [0], sampling(1, top_logprobs=1))
    assert out.top_ids[0, 0] == table[0].argmax(), "log-probabilities are the model's own"
    assert_array_equal(rig.buffer(1)[0], table[0])
    open_slot(rig, 0, allowed=allowed, eos=allowed)
    assert sample(rig, [0], min_tokens_mask=1, **fields) == [_native.NOTHING_ALLOWED]
    open_slot(rig, 0, allowed=allowed, bias=[(65, 100.0), (7, 1e6)])
    assert sample(rig, [0], **fields) == [65]
    open_slot(rig, 0)
    assert sample(rig, [0]) == [table[0].argmax()]


def test_penalties_that_overflow_are_their_rows_trouble() -> None:
    rig = logits_rig(np.array([[3e38, 1, 2]], np.float32))
    open_slot(rig, 0, prompt=[0])
    out = sample(rig, [0, 0], repetition_penalty=[0.001, 1.0])
    assert out == [_native.NON_FINITE, 0]


@pytest.mark.parametrize("isa", [level for level in LEVELS if _native.isa_supported(level)])
@pytest.mark.parametrize("fmt", [fmt for fmt, row in FORMATS.items() if row.group or fmt == "F32"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_quantized_products_keep_a_broken_row_to_itself_and_do_not_hide_it(bad: float, fmt: str, isa: str) -> None:
    """A number that is none in one token's activations spoils all of that token's outputs and no other's."""
    rng = np.random.default_rng(3)
    table = rng.normal(size=(6, 256)).astype(np.float32)
    clean = table.copy()
    table[4, 77] = bad
    dense = not FORMATS[fmt].quantized
    steps = [embed(256)] if dense else [embed(256), Quantize(dst=2, a=0, columns=256, by=Partition.TOKENS)]
    stream = barriers((*steps, Matmul(dst=1, a=0 if dense else 2, weight=1, start=0, rows=32, columns=256)))
    outputs = []
    for values in (clean, table):
        rig = Rig(stream, [(256, 0, 0), (32, 0, 0), (256, 0, 2)], [values], slots=[matrix(values), (32, 256, fmt, 1)],
                  isa=isa)  # fmt: skip
        rng = np.random.default_rng(4)
        size = 32 * 256 // FORMATS[fmt].block * FORMATS[fmt].block_bytes
        raw = (
            rng.integers(1, 40, size, np.uint8) if FORMATS[fmt].group else rng.normal(size=(32, 256)).astype(np.float32)
        )
        rig.load(1, raw, fmt, 32, 256)
        rig.run([0, 4, 1, 4, 2, 3, 5])
        outputs.append(rig.buffer(1))
    assert np.isfinite(outputs[0]).all()
    assert not np.isfinite(outputs[1][[1, 3]]).any(), "it must not look like a number again"
    assert_array_equal(np.delete(outputs[1], [1, 3], 0), np.delete(outputs[0], [1, 3], 0))


@pytest.mark.parametrize("isa", [level for level in LEVELS if _native.isa_supported(level)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_keys_and_values_are_remembered_as_broken_and_leave_with_their_sequence(bad: float, isa: str) -> None:
    """Later tokens of the sequence see them; a sequence that gets the page afterwards does not."""
    table = np.random.default_rng(5).normal(size=(6, 40)).astype(np.float32)
    table[5, 8:24] = bad  # its key and value, not its query
    stream = barriers((
        embed(40),
        KvStore(k=0, v=0, kv_layer=0, k_start=8, v_start=16, kv_heads=1, head_dim=8),
        Attention(dst=1, q=0, kv_layer=0, start=0, heads=1, kv_heads=1, head_dim=8, window=0, scale=1.0, softcap=0.0),
    ))  # fmt: skip
    rig = Rig(stream, [(40, 0, 0), (8, 0, 0)], [table], kv=[(1, 8, 0)], pages=3, isa=isa)
    rig.step([Seq([0, 1, 2], 0, (1,))])
    fresh = rig.buffer(1)
    rig.step([Seq([5] * 32, 0, (0,)), Seq([5] * 32, 0, (1,))])
    rig.step([Seq([3], 32, (0, 2))])
    assert np.isnan(rig.buffer(1)).all(), "it must not look like a number again"
    for pages in ((0,), (1,), (2,)):
        rig.step([Seq([0, 1, 2], 0, pages)])
        assert_array_equal(rig.buffer(1), fresh)


def mask_of(allowed: np.ndarray) -> np.ndarray:
    """Rows of bits for rows of truth values: bit b of word w stands for token 32 w + b."""
    packed = np.packbits(np.atleast_2d(allowed), axis=1, bitorder="little")
    padded = np.zeros((len(packed), -(-packed.shape[1] // 4) * 4), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.int32)


MASKED = {
    "greedy": {},
    "warm": {"temperature": 1.0},
    "hot, few": {"temperature": 2.0, "top_k": 3},
    "nucleus": {"temperature": 1.0, "top_p": 0.9},
    "penalties": {"temperature": 0.7, "presence_penalty": 0.4},
}


@pytest.mark.parametrize("share", [0.002, 0.3, 0.98])
@pytest.mark.parametrize("vocab", [31, 64, 1000, 5001])
@pytest.mark.parametrize("case", MASKED)
def test_a_mask_draws_what_the_row_without_the_forbidden_tokens_would(case: str, vocab: int, share: float) -> None:
    """Bit for bit: the twin's logits are -infinity (in numbers that a table may hold: very small) where bits are 0."""
    rng = np.random.default_rng(vocab)
    table = rng.normal(size=(8, vocab)).astype(np.float32) * 3
    allowed = rng.random((8, vocab)) < share
    allowed[np.arange(8), rng.integers(vocab, size=8)] = True
    twin = np.where(allowed, table, np.float32(-3e38)).astype(np.float32)
    fields = {"seed": 3, "temperature": 0.0, **MASKED[case]}
    rig, other = logits_rig(table), logits_rig(twin)
    sequences = [Seq([i], 0, (i,)) for i in range(8)]
    for counter in range(20):
        params = sampling(8, counter=counter, mask=np.arange(8)[::-1], **fields)
        out = rig.step(sequences, range(8), params, masks=mask_of(allowed[::-1]))
        assert_array_equal(out.tokens, other.step(sequences, range(8), sampling(8, counter=counter, **fields)).tokens)
        assert allowed[np.arange(8), out.tokens].all()
    assert_array_equal(rig.buffer(1), table)


def test_rows_without_a_mask_are_free_and_an_empty_one_allows_nothing() -> None:
    table = np.random.default_rng(1).normal(size=(3, 70)).astype(np.float32)
    rig = logits_rig(table)
    sequences = [Seq([i], 0, (i,)) for i in range(3)]
    masks = mask_of(np.arange(70)[None] == [[66], [-1]])
    out = rig.step(sequences, range(3), sampling(3, mask=[1, 0, -1], top_logprobs=1), masks=masks)
    assert out.tokens.tolist() == [_native.NOTHING_ALLOWED, 66, table[2].argmax()]
    assert out.top_ids[1, 0] == table[1].argmax(), "log-probabilities are the model's own"
    open_slot(rig, 0, allowed=[3, 66])
    assert rig.step(sequences, range(3), sampling(3, mask=0), masks=masks).tokens.tolist() == [66, 66, 66]


def test_masks_of_another_shape_are_refused() -> None:
    rig = logits_rig(np.zeros((2, 70), np.float32))
    sequences = [Seq([0], 0, (0,))]
    for masks, row in ((np.zeros((1, 2), np.int32), 0), (np.zeros((1, 3), np.int32), 1), (None, 0)):
        with pytest.raises(ValueError, match="mask"):
            rig.step(sequences, [0], sampling(1, mask=row), masks=masks)


def test_counted_tokens_are_penalized_as_drawn_ones_are() -> None:
    rig = logits_rig(np.array([[1.0, 0.7, 0.0]], np.float32))
    rig.engine.count_tokens(0, np.array([0, 0], np.int32))
    assert sample(rig, [0], frequency_penalty=0.2) == [1]
    with pytest.raises(ValueError, match="counted"):
        rig.engine.count_tokens(0, np.array([3], np.int32))
    with pytest.raises(ValueError, match="slot"):
        rig.engine.count_tokens(BATCH, np.array([0], np.int32))
