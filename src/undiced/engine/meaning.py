"""The numpy meaning of tile-level instructions that need more than a line. Rows are tokens; float32 throughout."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from undiced.program.host.expert_instruction import Route
from undiced.program.host.field import Activation, RopeStyle, Scoring

F32 = NDArray[np.float32]


def rmsnorm(x: F32, weight: F32 | None, width: int, eps: float) -> F32:
    """Each consecutive group of `width` columns over its root mean square, times weight (width,)."""
    groups = x.reshape(len(x), x.shape[1] // width, width)
    mean = np.mean(groups * groups, axis=-1, keepdims=True, dtype=np.float32)
    scaled = groups / np.sqrt(mean + np.float32(eps))
    out: F32 = (scaled if weight is None else scaled * weight).reshape(x.shape).astype(np.float32)
    return out


def layernorm(x: F32, weight: F32 | None, bias: F32 | None, eps: float) -> F32:
    """Zero mean, unit variance, then weight and bias."""
    centered = x - np.mean(x, axis=1, keepdims=True, dtype=np.float32)
    variance = np.mean(centered * centered, axis=1, keepdims=True, dtype=np.float32)
    scaled = centered / np.sqrt(variance + np.float32(eps))
    out: F32 = (scaled * (1 if weight is None else weight) + (0 if bias is None else bias)).astype(np.float32)
    return out


def rope(
    x: F32, angles: NDArray[np.float64], heads: int, head_dim: int, dims: int, style: RopeStyle, magnitude: float,
    offset: int = 0,
) -> F32:  # fmt: skip
    """Rotates `dims` columns of each head, from `offset` on, by angles (tokens, dims/2).

    `x` may end after the last head's rotated columns; other columns pass through.
    """
    out = x.copy()
    cos = (np.cos(angles) * magnitude).astype(np.float32)
    sin = (np.sin(angles) * magnitude).astype(np.float32)
    for head in range(heads):
        first = head * head_dim + offset
        columns = np.arange(first, first + dims)
        left, right = (
            (columns[: dims // 2], columns[dims // 2 :]) if style is RopeStyle.HALF else (columns[::2], columns[1::2])
        )
        a, b = x[:, left], x[:, right]
        out[:, left], out[:, right] = a * cos - b * sin, b * cos + a * sin
    return out


def attention(
    q: F32, keys: F32, values: F32, positions: NDArray[np.int32], window: int, f: tuple[float, ...], sinks: F32 | None,
    chunk: int = 0,
) -> F32:  # fmt: skip
    """Causal attention of q (tokens, heads, d) over keys (context, kv_heads, d) and values (context, kv_heads, v).

    f = (scale, softcap); `window` and `chunk` limit what a query sees, 0: not. Returns (tokens, heads * v).
    """
    tokens, heads, _ = q.shape
    group = heads // keys.shape[1]
    scale, cap = f
    scores = np.einsum("thd,chd->htc", q, np.repeat(keys, group, axis=1)) * np.float32(scale)
    if cap > 0:
        scores = np.float32(cap) * np.tanh(scores / np.float32(cap))
    at = np.arange(len(keys))
    hidden = at[None, :] > positions[:, None]
    if window > 0:
        hidden |= at[None, :] <= positions[:, None] - window
    if chunk > 0:
        hidden |= at[None, :] // chunk < positions[:, None] // chunk
    scores[:, hidden] = -np.inf
    if sinks is not None:
        scores = np.concatenate([scores, np.broadcast_to(sinks[:, None, None], (heads, tokens, 1))], axis=-1)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = (weights / weights.sum(axis=-1, keepdims=True))[..., : len(keys)]
    mixed = np.einsum("htc,chd->thd", weights, np.repeat(values, group, axis=1))
    out: F32 = mixed.reshape(tokens, heads * values.shape[2]).astype(np.float32)
    return out


def glu(gate: F32, up: F32, activation: Activation, limit: float = 0.0) -> F32:
    """activation(gate) * up; SWIGLU_OSS clamps both by `limit` (0: not), and adds 1 to what is multiplied."""
    if activation is not Activation.SWIGLU_OSS:
        return ACTIVATIONS[activation](gate) * up
    if limit > 0:
        gate, up = np.minimum(gate, np.float32(limit)), np.clip(up, np.float32(-limit), np.float32(limit))
    out: F32 = (gate / (1 + np.exp(np.clip(-1.702 * gate, -80, 80))) * (up + 1)).astype(np.float32)
    return out


def routes(logits: F32, bias: F32 | None, i: Route) -> F32:
    """What a Route writes: weights of the chosen experts, then their numbers, (tokens, 2 * top_k)."""
    out = np.zeros((len(logits), 2 * i.top_k), np.float32)
    for row, logit in enumerate(logits):
        shifted = np.exp(logit - logit.max())
        scores = shifted / shifted.sum() if i.scoring is Scoring.SOFTMAX else 1 / (1 + np.exp(-logit))
        wanted = scores if bias is None else scores + bias
        groups = wanted.reshape(i.groups, -1)
        if i.groups > 1:
            best = np.argsort(-np.sort(groups, axis=1)[:, -i.group_best :].sum(axis=1), kind="stable")[: i.top_groups]
            groups = np.where(np.isin(np.arange(i.groups), best)[:, None], groups, -np.inf)
        chosen = np.argsort(-groups.reshape(-1), kind="stable")[: i.top_k]
        weights = scores[chosen]
        if i.normalize:
            weights = weights / (weights.sum() + np.float32(1e-20))
        out[row, : i.top_k], out[row, i.top_k :] = weights * i.scaling, chosen
    return out


def log_softmax(x: F32) -> F32:
    """Natural log of the softmax over the last axis."""
    shifted = x - x.max(axis=-1, keepdims=True)
    out: F32 = (shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))).astype(np.float32)
    return out


def _silu(x: F32) -> F32:
    out: F32 = (x / (1 + np.exp(-np.clip(x, -80, 80)))).astype(np.float32)
    return out


def _gelu(x: F32) -> F32:
    erf = np.frompyfunc(math.erf, 1, 1)
    out: F32 = (0.5 * x * (1 + erf(x / math.sqrt(2)).astype(np.float64))).astype(np.float32)
    return out


def _gelu_tanh(x: F32) -> F32:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    out: F32 = (0.5 * x * (1 + np.tanh(inner))).astype(np.float32)
    return out


def _relu(x: F32) -> F32:
    out: F32 = np.maximum(x, np.float32(0))
    return out


ACTIVATIONS: dict[int, Callable[[F32], F32]] = {
    Activation.SILU: _silu,
    Activation.GELU: _gelu,
    Activation.GELU_TANH: _gelu_tanh,
    Activation.RELU: _relu,
}
