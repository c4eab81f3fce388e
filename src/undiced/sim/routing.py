"""How tokens of a batch choose experts: by a stated distribution, by counts, or by a trace of choices.

What is estimated is drawn, seeded: the same question has the same answer. Choices of tokens and layers are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.documents import read_object
from undiced.core.errors import InvalidRequestError
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import shard_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DRAWS, _SEED = 512, 1
_ZIPF, _ZIPF_MOST = 1.0, 10.0
_REMEDY = "Use uniform, zipf, zipf:1.2, or a JSON file with counts, or with choices of tokens."


@dataclass(frozen=True, slots=True)
class Crowd:
    """What a batch does to a layer's experts, in the mean.

    Attributes:
        tokens: of a step. distinct: different experts that they choose.
        busiest: tokens that the expert with most of them has.
        fullest: choices that the fullest group of columns has, of `choices` in all.
        provenance: where it comes from.
    """

    tokens: int
    choices: int
    distinct: float
    busiest: float
    fullest: float
    groups: int
    provenance: str

    @property
    def crowd(self) -> float:
        """The fullest group's part of all choices."""
        return min(1.0, self.fullest / self.choices)

    @property
    def apart(self) -> float:
        """Distinct experts by choices."""
        return min(1.0, self.distinct / self.choices)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "tokens": self.tokens,
            "choices": self.choices,
            "distinct_experts": self.distinct,
            "busiest_expert_tokens": self.busiest,
            "groups": self.groups,
            "fullest_group_choices": self.fullest,
            "provenance": self.provenance,
        }


@dataclass(frozen=True, slots=True)
class Mixture:
    """Experts of a layer, how many a token chooses, and on how many groups of columns they lie."""

    experts: int
    top_k: int
    groups: int

    @classmethod
    def of(cls, program: WaferProgram) -> Mixture | None:
        """Of the first layer that has experts."""
        for stream in program.streams:
            values = {value.name: value for value in stream.values}
            for i in stream.instructions:
                if isinstance(i, isa.Product) and i.expert:
                    stack = values[i.weights[0]]
                    part = shard_of(stack, stack.dims[0].name)
                    chosen = Shares(values, program.trees).size(i.expert)
                    return cls(stack.dims[0].size, chosen, part.ways if part else 1)
        return None


def crowded(routing: str, mixture: Mixture, tokens: int) -> Crowd:
    """What `tokens` that go together do to the experts of a layer.

    Args:
        routing: "uniform", "zipf" (the n-th likeliest expert with 1 / n), "zipf:S" (1 / n^S), or a JSON file: an object
            with "counts", one for each expert, or with "choices", a list of expert numbers for each token.

    Raises:
        InvalidRequestError: none of these; or counts and choices that are not of such a model.
    """
    import numpy as np

    experts, top_k, groups = mixture.experts, mixture.top_k, mixture.groups
    rng = np.random.default_rng(_SEED)
    if _is_named(routing):
        chosen = _drawn(rng, _weights(routing, experts), top_k, tokens)
        told = f"{routing}: an assumed distribution, independent from token to token"
    else:
        counts, choices = _traced(routing, experts, top_k)
        if choices is None:
            chosen = _drawn(rng, counts, top_k, tokens)
            told = f"counts of {Path(routing).name}, independent from token to token"
        else:
            chosen = choices[rng.integers(0, len(choices), (_DRAWS, tokens))]
            told = f"choices of {len(choices)} tokens of {Path(routing).name}, drawn independently"
    flat = chosen.reshape(_DRAWS, -1)
    of_expert = np.stack([np.bincount(row, minlength=experts) for row in flat])
    share = ceil(experts / groups)
    of_group = np.stack([np.bincount(row // share, minlength=groups) for row in flat])
    distinct, busiest, fullest = (of_expert > 0).sum(1), of_expert.max(1), of_group.max(1)
    return Crowd(
        tokens, tokens * top_k, float(distinct.mean()), float(busiest.mean()), float(fullest.mean()), groups, told
    )


def _drawn(rng: np.random.Generator, weights: NDArray[np.float64], top_k: int, tokens: int) -> NDArray[np.int64]:
    """[draws, tokens, top_k]: without an expert twice in a token, by the largest of perturbed logarithms."""
    import numpy as np

    logs = np.log(np.maximum(weights, np.finfo(np.float64).tiny))
    found = np.empty((_DRAWS, tokens, top_k), dtype=np.int64)
    for draw in found:
        scores = logs + rng.gumbel(size=(tokens, len(weights)))
        draw[:] = np.argpartition(-scores, top_k - 1, axis=1)[:, :top_k]
    return found


def _weights(routing: str, experts: int) -> NDArray[np.float64]:
    import numpy as np

    name, _, power = routing.partition(":")
    exponent = (float(power) if power else _ZIPF) if name == "zipf" else 0.0
    ranks = np.arange(1, experts + 1, dtype=np.float64)
    return np.random.default_rng(_SEED).permutation(ranks**-exponent)  # likely ones are not neighbors


def _is_named(routing: str) -> bool:
    """Whether it names a distribution."""
    name, _, power = routing.partition(":")
    return routing == "uniform" or (name == "zipf" and (":" not in routing or _is_power(power)))


def _traced(routing: str, experts: int, top_k: int) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
    """Counts by expert; or choices by token, beside nothing."""
    import numpy as np

    if not routing.endswith(".json"):
        raise InvalidRequestError(f"{routing[:40]!r} is no routing.", remedy=_REMEDY)
    found, _ = read_object(Path(routing))
    counts, choices = found.get("counts"), found.get("choices")
    try:
        array = np.asarray(counts if choices is None else choices, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    whole = array.size and np.isfinite(array).all() and (array >= 0).all()
    if choices is None and whole and array.shape == (experts,) and (array > 0).sum() >= top_k:
        return array, None
    if choices is not None and whole and array.ndim == 2 and array.shape[1] == top_k and (array < experts).all():
        return array, array.astype(np.int64)
    raise InvalidRequestError(
        f"{Path(routing).name} has neither counts of {experts} experts nor choices of {top_k} for each token.",
        remedy='Give an object with "counts" or "choices".',
    )


def _is_power(text: str) -> bool:
    try:
        return 0 <= float(text) <= _ZIPF_MOST
    except ValueError:
        return False
