"""Frequencies of rotary position embeddings, with every scaling rule, from the attributes of a `rope` node.

One function, used by the reference interpreter and by engines that tabulate. Sources: YaRN (arXiv 2309.00071); LongRoPE
(arXiv 2402.13753);
Llama 3.1's rule as published with its configuration; linear position interpolation (arXiv 2306.15595).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from undiced.model.config import RopeConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Attrs = Mapping[str, int | float | str]


def rope_attrs(rope: RopeConfig, head_dim: int, windowed: bool) -> dict[str, int | float | str]:
    """Attributes of a rope node; a windowed layer with a local theta is not scaled."""
    local = windowed and rope.local_theta > 0
    return {
        "head_dim": head_dim,
        "dims": rope.dims,
        "offset": rope.offset,
        "theta": float(rope.local_theta if local else rope.theta),
        "style": rope.style,
        "scaling": "none" if local else rope.scaling,
        "factor": float(rope.factor),
        "low_freq_factor": float(rope.low_freq_factor),
        "high_freq_factor": float(rope.high_freq_factor),
        "original_context": rope.original_context,
        "beta_fast": float(rope.beta_fast),
        "beta_slow": float(rope.beta_slow),
        "truncate": int(rope.truncate),
        "attention_factor": 1.0 if local else float(rope.attention_factor),
        "short_factors": _listed(rope.short_factors),
        "long_factors": _listed(rope.long_factors),
    }


def _listed(factors: tuple[float, ...]) -> str:
    """Numbers as an attribute holds them: apart by spaces."""
    return " ".join(map(repr, factors))


def frequencies(attrs: Attrs, context: int, factors: Sequence[float] = ()) -> tuple[float, ...]:
    """Radians a position for each of dims/2 pairs. Cosines and sines are multiplied by `attrs["attention_factor"]` by
    the caller.

    Args:
        attrs: attributes of a rope node.
        context: the most positions that a sequence may have: beyond the trained ones, longrope takes its long factors.
        factors: divisors from the checkpoint, one a pair, or none.
    """
    dims, theta = int(attrs["dims"]), float(attrs["theta"])
    found = tuple(theta ** (-at / dims) for at in range(0, dims, 2))
    if factors:
        found = tuple(one / float(factor) for one, factor in zip(found, factors, strict=True))
    scaling = attrs["scaling"]
    if scaling == "linear":
        return tuple(one / float(attrs["factor"]) for one in found)
    if scaling == "llama3":
        return tuple(_llama3(one, attrs) for one in found)
    if scaling == "yarn":
        return _yarn(found, attrs)
    if scaling == "longrope":
        listed = str(attrs["long_factors" if context > int(attrs["original_context"]) else "short_factors"]).split()
        return tuple(one / float(factor) for one, factor in zip(found, listed, strict=True))
    return found


def rope_frequencies(attrs: Attrs, context: int, factors: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
    """`frequencies` as an array, (dims/2,) float64."""
    import numpy as np

    return np.array(frequencies(attrs, context, () if factors is None else factors.tolist()))


def _clipped(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _llama3(frequency: float, attrs: Attrs) -> float:
    """Short wavelengths stay, long ones are divided by the factor, those between are blended."""
    low, high = float(attrs["low_freq_factor"]), float(attrs["high_freq_factor"])
    turns = int(attrs["original_context"]) * frequency / (2 * math.pi)
    keep = _clipped((turns - low) / max(high - low, 1e-9))  # equal limits make a step
    return keep * frequency + (1 - keep) * frequency / float(attrs["factor"])


def _yarn(frequencies: tuple[float, ...], attrs: Attrs) -> tuple[float, ...]:
    """A ramp over dimensions between the ones that turn `beta_fast` and `beta_slow` times in the trained context."""
    dims, theta, context = int(attrs["dims"]), float(attrs["theta"]), int(attrs["original_context"])

    def dimension(rotations: float) -> float:
        return dims * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension(float(attrs["beta_fast"])), dimension(float(attrs["beta_slow"]))
    if attrs["truncate"]:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dims - 1)
    width, factor = high - low if high != low else 0.001, float(attrs["factor"])
    blended = []
    for at, one in enumerate(frequencies):
        stretched = _clipped((at - low) / width)
        blended.append(one * (1 - stretched) + one / factor * stretched)
    return tuple(blended)
