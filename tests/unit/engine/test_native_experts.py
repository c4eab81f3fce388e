"""Mixtures of experts on the team against numpy: choices, products with chosen experts, and choices that are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from native_rig import F32, THREADS, Rig, barriers

from undiced.engine import meaning
from undiced.program.host.expert_instruction import ExpertGlu, ExpertSum, Route
from undiced.program.host.field import NONE, Activation, Partition, Scoring
from undiced.program.host.instruction import Embed, Quantize

RNG = np.random.default_rng(11)
EXPERTS, TOP_K, DIM, FFN = 8, 3, 64, 96
TOKENS = [3, 17, 0, 39, 5, 5, 22, 8, 9, 10, 11]
X = RNG.normal(size=(40, DIM)).astype(np.float32)
GATE, UP = (RNG.normal(size=(EXPERTS * FFN, DIM)).astype(np.float32) for _ in range(2))
DOWN = RNG.normal(size=(EXPERTS * DIM, FFN)).astype(np.float32)
BIASES = [RNG.normal(size=EXPERTS * rows).astype(np.float32) for rows in (FFN, FFN, DIM)]


def route(**fields: object) -> Route:
    usual = {"groups": 1, "top_groups": 1, "scoring": Scoring.SOFTMAX, "scaling": 1.5, "normalize": True}
    return Route(dst=1, a=0, experts=EXPERTS, top_k=TOP_K, **{**usual, **fields})


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scoring": Scoring.SIGMOID, "normalize": False},
        {"groups": 4, "top_groups": 2},
        {"bias": 1, "groups": 2},
        {"groups": 4, "top_groups": 2, "group_best": 1},
    ],
)
def test_experts_are_chosen_as_the_interpreter_chooses(threads: int, fields: dict[str, object]) -> None:
    logits = RNG.normal(size=(40, EXPERTS)).astype(np.float32)
    bias = RNG.normal(size=EXPERTS).astype(np.float32)
    chosen = route(**fields)
    stream = barriers((Embed(dst=0, table=0, columns=EXPERTS, scale=1.0), chosen))
    rig = Rig(stream, [(EXPERTS, 0, 0), (2 * TOP_K, 0, 0)], [logits, bias], threads=threads)
    rig.run(TOKENS)
    want = meaning.routes(logits[TOKENS], bias if chosen.bias != NONE else None, chosen)
    found = rig.buffer(1)
    np.testing.assert_array_equal(found[:, TOP_K:], want[:, TOP_K:])
    np.testing.assert_allclose(found[:, :TOP_K], want[:, :TOP_K], rtol=1e-5)


def choices(count: int) -> F32:
    """Weights and numbers of TOP_K different experts a row."""
    numbers = np.array([RNG.permutation(EXPERTS)[:TOP_K] for _ in range(count)])
    return np.concatenate([RNG.uniform(0.1, 1, (count, TOP_K)), numbers], axis=1).astype(np.float32)


def quantized(values: F32) -> tuple[np.ndarray, F32]:
    """Q8_0 blocks and what they mean."""
    blocks = values.reshape(-1, 32)
    scales = (np.abs(blocks).max(axis=1) / 127).astype(np.float16)
    codes = np.round(blocks / scales.astype(np.float32)[:, None]).astype(np.int8)
    raw = np.concatenate([scales[:, None].view(np.uint8), codes.view(np.uint8)], axis=1)
    return raw, (codes * scales.astype(np.float32)[:, None]).reshape(values.shape).astype(np.float32)


def ran(
    form: str,
    threads: int,
    routes: F32,
    *,
    weigh: bool = False,
    biased: bool = False,
    activation: Activation = Activation.SILU,
    tokens: Sequence[int] = TOKENS,
) -> F32:
    """What glu and sum add to a buffer that holds ones, for `tokens`."""
    glu = ExpertGlu(
        dst=4, a=3 if form == "Q8_0" else 0, routes=1, gate=3, up=4, gate_bias=6 if biased else NONE,
        up_bias=7 if biased else NONE, rows=FFN, columns=DIM, experts=EXPERTS, top_k=TOP_K, activation=activation,
        limit=1.0, weigh=weigh,
    )  # fmt: skip
    total = ExpertSum(
        dst=2, a=4, routes=1, down=5, bias=8 if biased else NONE, rows=DIM, columns=FFN, experts=EXPERTS, top_k=TOP_K,
        weigh=not weigh, accumulate=True,
    )  # fmt: skip
    tables = (Embed(dst=i, table=i, columns=width, scale=1.0) for i, width in enumerate((DIM, 2 * TOP_K, DIM)))
    codes = Quantize(dst=3, a=0, columns=DIM, by=Partition.TOKENS)
    bytes_a_code = int(form == "Q8_0")
    buffers = [(DIM, 0, 0), (2 * TOP_K, 0, 0), (DIM, 0, 0), (DIM, 0, 1), (TOP_K * FFN, 0, bytes_a_code)]
    stacks = [
        (EXPERTS * FFN, DIM, form, EXPERTS),
        (EXPERTS * FFN, DIM, form, EXPERTS),
        (EXPERTS * DIM, FFN, form, EXPERTS),
    ]
    slots = [(40, DIM, "F32", 1), (40, 2 * TOP_K, "F32", 1), (40, DIM, "F32", 1), *stacks]
    slots += [(1, len(bias), "F32", 1) for bias in BIASES]
    stream = barriers((*tables, codes, glu, total))
    weights = [X, routes, np.ones((40, DIM), np.float32), GATE, UP, DOWN, *BIASES]
    rig = Rig(stream, buffers, weights, slots=slots, threads=threads, tokens=256)
    if form == "Q8_0":
        for slot, values in ((3, GATE), (4, UP), (5, DOWN)):
            rig.load(slot, quantized(values)[0], form, *values.shape)
    rig.run(tokens)
    return rig.buffer(2)


def as_codes(x: F32) -> F32:
    """Rounded as activations are: to blocks of 32 int8 codes."""
    blocks = x.reshape(-1, 32)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    return (np.round(blocks / scales) * scales).reshape(x.shape).astype(np.float32)


def wanted(
    routes: F32,
    stacks: Sequence[F32],
    *,
    weigh: bool = False,
    biased: bool = False,
    activation: Activation = Activation.SILU,
    tokens: Sequence[int] = TOKENS,
    rounded: Callable[[F32], F32] = np.array,
) -> F32:
    gate, up, down = (stack.reshape(EXPERTS, -1, stack.shape[1]) for stack in stacks)
    biases = [bias.reshape(EXPERTS, -1) * biased for bias in BIASES]
    out = np.ones((len(tokens), DIM), np.float64)
    for row, token in enumerate(tokens):
        for weight, number in zip(routes[token, :TOP_K], routes[token, TOP_K:].astype(int), strict=True):
            x = rounded(X[token]) * weight if weigh else rounded(X[token])
            left, right = x @ gate[number].T + biases[0][number], x @ up[number].T + biases[1][number]
            y = rounded(meaning.glu(left, right, activation, 1.0)) @ down[number].T + biases[2][number]
            out[row] += y if weigh else y * weight
    return out.astype(np.float32)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("form", ["F32", "Q8_0"])
@pytest.mark.parametrize("weigh", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_chosen_experts_are_multiplied_and_added(threads: int, form: str, weigh: bool, biased: bool) -> None:
    routes = choices(40)
    for activation in (Activation.SILU, Activation.SWIGLU_OSS):
        found = ran(form, threads, routes, weigh=weigh, biased=biased, activation=activation)
        stacks = (GATE, UP, DOWN) if form == "F32" else tuple(quantized(each)[1] for each in (GATE, UP, DOWN))
        rounded = np.array if form == "F32" else as_codes
        want = wanted(routes, stacks, weigh=weigh, biased=biased, activation=activation, rounded=rounded)
        tolerance = 1e-5 if form == "F32" else 3e-3  # where a hidden value lies between two codes
        np.testing.assert_allclose(found, want, rtol=0, atol=tolerance * np.abs(want).max())


def test_sums_do_not_depend_on_threads_or_on_others_in_the_step() -> None:
    routes = choices(40)
    one, three = (ran("Q8_0", n, routes, biased=True) for n in (1, 3))
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(one[4], one[5])  # the same token twice


def test_more_tokens_of_an_expert_than_are_gathered_at_once_are_all_multiplied() -> None:
    routes = choices(40)
    routes[:, TOP_K:] = (1, 5, 7)
    tokens = [token for token in range(40) for _ in range(4)]
    found, want = ran("F32", 2, routes, tokens=tokens), wanted(routes, (GATE, UP, DOWN), tokens=tokens)
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-5 * np.abs(want).max())


def test_numbers_of_no_expert_read_no_foreign_memory() -> None:
    routes = choices(40)
    routes[:, TOP_K:] = np.array([np.nan, -3.0, 1e30], np.float32)
    assert np.isfinite(ran("F32", 2, routes)).all()


@pytest.mark.parametrize("fields", [{"experts": 7}, {"rows": 80}, {"columns": 32}, {"top_k": 5}, {"top_k": 1 << 30}])
def test_products_that_do_not_fit_their_stacks_are_refused(fields: dict[str, int]) -> None:
    usual = {"rows": DIM, "columns": FFN, "experts": EXPERTS, "top_k": TOP_K}
    total = ExpertSum(dst=2, a=0, routes=1, down=1, weigh=True, **{**usual, **fields})
    slots = [(40, DIM, "F32", 1), (EXPERTS * DIM, FFN, "F32", EXPERTS)]
    with pytest.raises(ValueError, match="EXPERT_SUM"):
        Rig(barriers((total,)), [(TOP_K * FFN, 0, 0), (2 * TOP_K, 0, 0), (DIM, 0, 0)], [], slots=slots)
