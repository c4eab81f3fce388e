"""The vocabulary of a GGUF file: token texts, kinds, scores and ids with a role. Checked and bounded; builds nothing.

Key names and kinds as the GGUF specification documents them (`tokenizer.ggml.*`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from undiced.core.errors import CheckpointError

MAX_TOKENS = 4_000_000
_REMEDY = "The file is damaged or was converted by a faulty tool; fetch it again."


class Kind(IntEnum):
    """`tokenizer.ggml.token_type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


_CONTROL = frozenset({int(Kind.CONTROL), int(Kind.UNKNOWN)})
_USER_DEFINED = int(Kind.USER_DEFINED)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """tokens, kinds and scores are parallel; scores may be empty; an id with a role is None if absent.

    control holds the ids of control and unknown tokens, user_defined those of tokens that are always parsed from text.
    """

    tokens: Sequence[str]
    kinds: Sequence[int]
    scores: Sequence[float]
    control: frozenset[int]
    user_defined: frozenset[int]
    bos_id: int | None
    unknown_id: int | None
    end_ids: frozenset[int]
    add_bos: bool | None
    add_space_prefix: bool | None


def read_vocabulary(metadata: Mapping[str, object]) -> Vocabulary:
    """Raises CheckpointError where the lists are missing, of unequal length, or an id lies outside them."""
    tokens = _sequence(metadata, "tokenizer.ggml.tokens")
    if not tokens or len(tokens) > MAX_TOKENS or set(map(type, tokens)) != {str}:
        raise CheckpointError(
            f"tokenizer.ggml.tokens holds {len(tokens)} entries that are not a vocabulary.", remedy=_REMEDY
        )
    kinds = _sequence(metadata, "tokenizer.ggml.token_type") or [int(Kind.NORMAL)] * len(tokens)
    scores = _sequence(metadata, "tokenizer.ggml.scores")
    for key, values in (("token_type", kinds), ("scores", scores)):
        if values and len(values) != len(tokens):
            message = f"tokenizer.ggml.{key} has {len(values)} entries for {len(tokens)} tokens."
            raise CheckpointError(message, remedy=_REMEDY)
        if not set(map(type, values)) <= {int, float, bool}:
            raise CheckpointError(f"tokenizer.ggml.{key} is not a list of numbers.", remedy=_REMEDY)
    named = {role: _id(metadata, role, len(tokens)) for role in ("bos", "eos", "eot", "eom", "unknown")}
    return Vocabulary(
        tokens=tokens,
        kinds=kinds,
        scores=scores,
        control=frozenset(i for i, kind in enumerate(kinds) if kind in _CONTROL),
        user_defined=frozenset(i for i, kind in enumerate(kinds) if kind == _USER_DEFINED),
        bos_id=named["bos"],
        unknown_id=named["unknown"],
        end_ids=frozenset(i for role in ("eos", "eot", "eom") if (i := named[role]) is not None),
        add_bos=_flag(metadata, "tokenizer.ggml.add_bos_token"),
        add_space_prefix=_flag(metadata, "tokenizer.ggml.add_space_prefix"),
    )


def _sequence(metadata: Mapping[str, object], key: str) -> Sequence:  # type: ignore[type-arg]
    """The list at `key` as a Python sequence, empty if absent."""
    value = metadata.get(key)
    if value is None:
        return []
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise CheckpointError(f"{key} is not a list.", remedy=_REMEDY)
    return value


def _id(metadata: Mapping[str, object], role: str, count: int) -> int | None:
    key = f"tokenizer.ggml.{role}_token_id"
    value = metadata.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or not 0 <= value < count:
        raise CheckpointError(f"{key} is {value!r}, outside the {count} tokens of the vocabulary.", remedy=_REMEDY)
    return value


def _flag(metadata: Mapping[str, object], key: str) -> bool | None:
    value = metadata.get(key)
    return bool(value) if isinstance(value, (bool, int)) else None
