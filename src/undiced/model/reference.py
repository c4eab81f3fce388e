"""The numpy meaning of every operator: obvious, float32, slow. Engines are measured against these.

Values are (tokens, width) float32 arrays. Nothing here knows a graph, a node or a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiced.model.config import SWIGLU_OSS_ALPHA

F32 = NDArray[np.float32]
Ints = NDArray[np.int64]


def silu(x: F32) -> F32:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


def _tanh(x: F32) -> F32:
    y: F32 = np.tanh(x)
    return y


def _inverse_root(squares: F32, eps: float) -> F32:
    """1 / sqrt(mean over the last axis + eps), (..., 1)."""
    mean: F32 = np.mean(squares, axis=-1, keepdims=True, dtype=np.float32)
    y: F32 = np.float32(1) / np.sqrt(mean + np.float32(eps))
    return y


def sigmoid(x: F32) -> F32:
    """1 / (1 + exp(-x)) without overflow."""
    half = np.float32(0.5)
    return half * _tanh(half * x) + half


def gelu(x: F32) -> F32:
    """x * Phi(x), exactly (by the error function)."""
    erf = np.frompyfunc(math.erf, 1, 1)
    y: F32 = (0.5 * x * (1.0 + erf(x / math.sqrt(2.0)).astype(np.float64))).astype(np.float32)
    return y


def gelu_tanh(x: F32) -> F32:
    """The tanh approximation of gelu."""
    inner = np.float32(math.sqrt(2.0 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (np.float32(1) + _tanh(inner))


ACTIVATIONS: dict[str, Callable[[F32], F32]] = {"silu": silu, "gelu": gelu, "gelu_tanh": gelu_tanh}


def glu(gate: F32, up: F32, activation: str, limit: float = 0.0) -> F32:
    """activation(gate) * up; "swiglu_oss" clamps both by `limit`, scales the sigmoid's input and adds 1 to `up`."""
    if activation != "swiglu_oss":
        return ACTIVATIONS[activation](gate) * up
    if limit > 0:
        gate, up = np.minimum(gate, np.float32(limit)), np.clip(up, np.float32(-limit), np.float32(limit))
    return gate * sigmoid(np.float32(SWIGLU_OSS_ALPHA) * gate) * (up + np.float32(1))


def rmsnorm(x: F32, weight: F32 | None, eps: float, width: int) -> F32:
    """Divides each consecutive group of `width` columns by its root mean square, then multiplies by weight (width,)."""
    groups = x.reshape(x.shape[0], -1, width)
    scaled = groups * _inverse_root(np.square(groups), eps)
    return (scaled if weight is None else scaled * weight).reshape(x.shape)


def layernorm(x: F32, weight: F32, bias: F32, eps: float) -> F32:
    """Zero mean and unit variance over all columns, then weight and bias (width,)."""
    mean: F32 = np.mean(x, axis=-1, keepdims=True, dtype=np.float32)
    centered = x - mean
    return centered * _inverse_root(np.square(centered), eps) * weight + bias


def linear(x: F32, weight: F32, bias: F32 | None) -> F32:
    """x (tokens, columns) times weight (rows, columns) transposed, plus bias (rows,)."""
    y: F32 = x @ weight.T
    return y if bias is None else y + bias


@dataclass(frozen=True, slots=True)
class Rotation:
    """Where and how `rope` turns the columns of a head; see the attributes of a rope node."""

    head_dim: int
    offset: int
    style: str
    magnitude: float


def rope(x: F32, positions: Ints, frequencies: NDArray[np.float64], how: Rotation) -> F32:
    """Rotates pairs of columns of every head by position times frequency.

    Args:
        x: (tokens, heads * head_dim).
        positions: (tokens,).
        frequencies: (dims/2,) radians a position.
        how: the columns of a head, their pairing, and the factor on cosines and sines.
    """
    half = len(frequencies)
    heads = x.reshape(x.shape[0], -1, how.head_dim).copy()
    part = heads[:, :, how.offset : how.offset + 2 * half]
    angles = positions[:, None].astype(np.float64) * frequencies
    cos = (how.magnitude * np.cos(angles))[:, None].astype(np.float32)
    sin = (how.magnitude * np.sin(angles))[:, None].astype(np.float32)
    halves = how.style == "half"
    first, second = (slice(0, half), slice(half, None)) if halves else (slice(0, None, 2), slice(1, None, 2))
    a, b = part[:, :, first].copy(), part[:, :, second].copy()
    part[:, :, first], part[:, :, second] = a * cos - b * sin, b * cos + a * sin
    return heads.reshape(x.shape)


def attention_mask(queries: Ints, keys: int, window: int, chunk: int) -> NDArray[np.bool_]:
    """(queries, keys) true where the query at a position may see a key: causal, in its window, in its chunk."""
    q, k = queries[:, None], np.arange(keys)[None, :]
    allowed = k <= q
    if window:
        allowed &= k > q - window
    if chunk:
        allowed &= k // chunk == q // chunk
    return allowed


def softmax(scores: F32, sinks: F32 | None = None) -> F32:
    """Softmax over the last axis; `sinks`, broadcastable to scores[..., :1], join the denominator only."""
    top = np.max(scores, axis=-1, keepdims=True)
    if sinks is not None:
        top = np.maximum(top, sinks)
    weights = np.exp(scores - top)
    total = np.sum(weights, axis=-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks - top)
    shares: F32 = weights / total
    return shares


def attend(q: F32, k: F32, v: F32, allowed: NDArray[np.bool_], scale: float, cap: float, sinks: F32 | None) -> F32:
    """Grouped attention of one sequence.

    Args:
        q: (queries, heads, head_dim). k: (keys, kv_heads, head_dim). v: (keys, kv_heads, v_dim).
        allowed: (queries, keys).
        scale: factor on scores. cap: tanh cap on scores, 0 for none.
        sinks: (heads,) or None.

    Returns:
        (queries, heads * v_dim).
    """
    queries, heads, head_dim = q.shape
    groups = k.shape[1]
    per = heads // groups
    grouped = q.reshape(queries, groups, per, head_dim).transpose(1, 2, 0, 3).reshape(groups, per * queries, head_dim)
    scores = (grouped @ k.transpose(1, 2, 0) * np.float32(scale)).reshape(groups, per, queries, -1)
    if cap:
        scores = np.float32(cap) * np.tanh(scores / np.float32(cap))
    scores = np.where(allowed, scores, np.float32(-np.inf))
    weights = softmax(scores, None if sinks is None else sinks.reshape(groups, per, 1, 1))
    mixed = weights.reshape(groups, per * queries, -1) @ v.transpose(1, 0, 2)
    return mixed.reshape(groups, per, queries, -1).transpose(2, 0, 1, 3).reshape(queries, -1)


@dataclass(frozen=True, slots=True)
class MoeRule:
    """How experts are chosen: the attributes of a `moe_route` node, typed."""

    top_k: int
    scoring: str
    normalize: bool
    scaling: float
    groups: int
    top_groups: int
    group_best: int


def route(logits: F32, bias: F32 | None, rule: MoeRule) -> F32:
    """Routing weights (tokens, experts): zero for experts not chosen.

    Args:
        logits: (tokens, experts).
        bias: added to scores for the choice only, (experts,), or None.
        rule: how to choose.
    """
    scores = softmax(logits) if rule.scoring == "softmax" else sigmoid(logits)
    choice = scores if bias is None else scores + bias
    if rule.groups > 1:
        choice = np.where(_best_groups(choice, rule), choice, np.float32(-np.inf))
    chosen = np.argsort(-choice, axis=-1, kind="stable")[:, : rule.top_k]
    picked = np.take_along_axis(scores, chosen, axis=-1)
    if rule.normalize:
        picked = picked / (np.sum(picked, axis=-1, keepdims=True) + np.float32(1e-20))
    weights = np.zeros_like(scores)
    np.put_along_axis(weights, chosen, picked * np.float32(rule.scaling), axis=-1)
    return weights


def _best_groups(choice: F32, rule: MoeRule) -> NDArray[np.bool_]:
    """(tokens, experts) true for experts of the best groups; a group's score is the sum of its best experts."""
    tokens, experts = choice.shape
    grouped = np.sort(choice.reshape(tokens, rule.groups, -1), axis=-1)
    best = np.argsort(-np.sum(grouped[:, :, -rule.group_best :], axis=-1), axis=-1, kind="stable")[:, : rule.top_groups]
    mask = np.zeros((tokens, rule.groups), dtype=np.bool_)
    np.put_along_axis(mask, best, True, axis=-1)
    return np.repeat(mask, experts // rule.groups, axis=-1)


def experts(x: F32, weights: F32, stacks: Sequence[F32 | None], activation: str, limit: float, on_input: bool) -> F32:
    """Sum over chosen experts of weight * expert(x), or of expert(weight * x) when `on_input`.

    Args:
        x: (tokens, dim). weights: (tokens, experts), zero where not chosen.
        stacks: gate, up (experts, ffn, dim), down (experts, dim, ffn) and their biases or None, in this order.
    """
    gate, up, down, gate_bias, up_bias, down_bias = stacks
    assert gate is not None and up is not None and down is not None
    y = np.zeros((x.shape[0], down.shape[1]), dtype=np.float32)
    for e in np.flatnonzero(np.any(weights != 0, axis=0)):
        rows = np.flatnonzero(weights[:, e])
        share = weights[rows, e][:, None]
        inputs = x[rows] * share if on_input else x[rows]
        g = linear(inputs, gate[e], None if gate_bias is None else gate_bias[e])
        u = linear(inputs, up[e], None if up_bias is None else up_bias[e])
        out = linear(glu(g, u, activation, limit), down[e], None if down_bias is None else down_bias[e])
        y[rows] += out if on_input else out * share
    return y
