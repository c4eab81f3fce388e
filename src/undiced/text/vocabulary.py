"""The vocabulary of a GGUF file: token texts, kinds, scores and ids with a role. Checked and bounded; builds nothing.

Key names and kinds as the GGUF specification documents them (`tokenizer.ggml.*`); what is missing or absurd is taken as
llama.cpp takes it (src/llama-vocab.cpp), except that token 11 ends a text only where it is a control token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum

from msgspec import Struct
from msgspec.structs import replace

from undiced.checkpoint.gguf_fields import Fields, Strings
from undiced.core.errors import CheckpointError
from undiced.text.endings import BEGINNINGS, ENDINGS, endings

MAX_TOKENS = 600_000  # ours: the largest vocabulary seen has 262,208
MAX_ADDED = 100_000  # ours: the most seen are 6,500
_REMEDY = "The file is damaged or was converted by a faulty tool; fetch it again."


class Kind(IntEnum):
    """`tokenizer.ggml.token_type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


MODEL = "tokenizer.ggml.model"
TOKENS = "tokenizer.ggml.tokens"
STRUCK = "</s>"  # an end in many vocabularies, and the end of struck text in HTML, which is a token of Gemma's
WELL_KNOWN = frozenset((*ENDINGS, *BEGINNINGS))
_CONTROL = frozenset({int(Kind.CONTROL), int(Kind.UNKNOWN)})
DEFAULTS = {"llama": {"bos": 1, "eos": 2, "unknown": 0}, "gpt2": {"bos": 11, "eos": 11}}  # as in llama.cpp


class Vocabulary(Struct, frozen=True):
    """What the builders of tokenizers read.

    Attributes:
        tokens: texts by id; an id without a text has the name `[EMPTY_<id>]`.
        blank: ids that have such a name.
        ids: id of each text that can be encoded; of ids that share a text, the first control token, the first
            user-defined one, or the first.
        kinds: by id, after corrections: what has a role or a well-known name is a control token.
        control: ids of control and unknown tokens. user_defined: ids of tokens that are always parsed from text.
        bos_id, unknown_id: None if the file has none. end_ids: every token that ends a text or a turn.
    """

    tokens: Strings
    blank: frozenset[int]
    ids: Mapping[str, int]
    kinds: Sequence[int]
    control: frozenset[int]
    user_defined: frozenset[int]
    bos_id: int | None
    unknown_id: int | None
    end_ids: frozenset[int]
    add_bos: bool | None
    add_space_prefix: bool | None


def read_vocabulary(metadata: Mapping[str, object]) -> Vocabulary:
    """Without `ids`, which take as long as all else; see `numbered`.

    Raises CheckpointError where lists are missing or too short, or where a text must begin with no known token."""
    texts = token_texts(metadata)
    kinds = list(numbers(metadata, "tokenizer.ggml.token_type", len(texts)) or [int(Kind.NORMAL)] * len(texts))
    roles = _roles(metadata, kinds)
    ends, control = _control(texts, kinds, roles)
    user_defined = frozenset(_places(kinds, int(Kind.USER_DEFINED)))
    if len(control) + len(user_defined) > MAX_ADDED:
        raise CheckpointError(f"The vocabulary has more than {MAX_ADDED} special tokens.", remedy=_REMEDY)
    blank = frozenset(i for _, i in texts.places([""]))
    add_bos = _flag(metadata, "tokenizer.ggml.add_bos_token")
    if add_bos and roles["bos"] is None:
        raise CheckpointError(
            "tokenizer.ggml.add_bos_token is true, but no tokenizer.ggml.bos_token_id says which token.", remedy=_REMEDY
        )
    return Vocabulary(
        tokens=Strings([text or f"[EMPTY_{i}]" for i, text in enumerate(texts.texts())]) if blank else texts,
        blank=blank,
        ids={},
        kinds=kinds,
        control=control,
        user_defined=user_defined,
        bos_id=roles["bos"],
        unknown_id=roles.get("unknown"),
        end_ids=ends,
        add_bos=add_bos,
        add_space_prefix=None if metadata.get(MODEL) == "gpt2" else _flag(metadata, "tokenizer.ggml.add_space_prefix"),
    )


def token_texts(metadata: Mapping[str, object]) -> Strings:
    """Texts by id, which may be empty. Raises CheckpointError where there are none, or too many."""
    texts = metadata.strings(TOKENS) if isinstance(metadata, Fields) else None
    if texts is None:
        listed = list(sequence(metadata, TOKENS))
        try:
            texts = Strings(listed)
        except ValueError:
            raise _no_vocabulary(len(listed)) from None
    if not 0 < len(texts) <= MAX_TOKENS:
        raise _no_vocabulary(len(texts))
    return texts


def _no_vocabulary(count: int) -> CheckpointError:
    return CheckpointError(f"{TOKENS} holds {count} entries that are not a vocabulary.", remedy=_REMEDY)


def sequence(metadata: Mapping[str, object], key: str) -> Sequence:  # type: ignore[type-arg]
    """The list at `key` as a Python sequence, empty if absent."""
    value = metadata.get(key)
    if value is None:
        return []
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise CheckpointError(f"{key} is not a list.", remedy=_REMEDY)
    return value


def numbers(metadata: Mapping[str, object], key: str, count: int) -> Sequence:  # type: ignore[type-arg]
    """A list of at least `count` numbers, cut to `count`; empty if absent."""
    values = sequence(metadata, key)
    if values and len(values) < count:
        raise CheckpointError(f"{key} has {len(values)} entries for {count} tokens.", remedy=_REMEDY)
    types = set(map(type, values))
    if not types <= {int, float, bool} or (float in types and any(value != value for value in values)):
        raise CheckpointError(f"{key} is not a list of numbers.", remedy=_REMEDY)
    return values[:count]


def _roles(metadata: Mapping[str, object], kinds: Sequence[int]) -> dict[str, int | None]:
    """Ids with a role. A stated id outside the vocabulary is not believed: the tokenizer's default takes its place."""
    defaults = _defaults(metadata)
    roles: dict[str, int | None] = {}
    for role in ("bos", "eos", "eot", "eom", *(("unknown",) if "unknown" in defaults else ())):
        key = f"tokenizer.ggml.{role}_token_id"
        default = default_id(metadata, role, kinds)
        value = metadata.get(key, default)
        if value is not None and type(value) is not int:
            raise CheckpointError(f"{key} is no integer.", remedy=_REMEDY)
        if value is not None and not 0 <= value < len(kinds):
            instead = "it is left out" if default is None else f"{default} is used instead"
            _warn(f"{key} is {value}, outside the {len(kinds)} tokens of the vocabulary; {instead}.")
            value = default
        roles[role] = value
    return roles


def default_id(metadata: Mapping[str, object], role: str, kinds: Sequence[int]) -> int | None:
    """The id that has a role where the file states none that can be believed, or None.

    Token 11 of most byte-level vocabularies is a comma, which begins and ends nothing.
    """
    default = _defaults(metadata).get(role)
    if default is None or default >= len(kinds):
        return None
    return default if metadata.get(MODEL) != "gpt2" or kinds[default] == Kind.CONTROL else None


def _defaults(metadata: Mapping[str, object]) -> Mapping[str, int]:
    model = metadata.get(MODEL)
    return DEFAULTS.get(model, {}) if isinstance(model, str) else {}


def _control(
    texts: Strings, kinds: list[int], roles: Mapping[str, int | None]
) -> tuple[frozenset[int], frozenset[int]]:
    """-> (ids that end a text, ids of control tokens).

    Corrects `kinds` of tokens that are control tokens by their role or their name, whatever the file says: a text must
    not become them, nor they a text.
    """
    known = texts.places(WELL_KNOWN)
    eos = roles["eos"]
    if eos is not None and kinds[eos] in _CONTROL and texts[eos] != STRUCK:
        known = [(text, i) for text, i in known if text != STRUCK or kinds[i] in _CONTROL]
    ending = endings(dict(known).get)
    stated = {i for role in ("eos", "eot", "eom") if (i := roles[role]) is not None}
    ends = stated | {i for text, i in known if text in ending}
    begins = {i for text, i in known if text in BEGINNINGS} | {i for i in (roles["bos"],) if i is not None}
    for i in ends | begins:
        if kinds[i] not in _CONTROL and kinds[i] != Kind.BYTE and len(texts[i].strip()) > 1:
            kinds[i] = int(Kind.CONTROL)
    return frozenset(ends), frozenset(i for kind in _CONTROL for i in _places(kinds, kind))


def _places(values: Sequence[object], wanted: object) -> Iterator[int]:
    """Where it stands, in order."""
    at = -1
    with contextlib.suppress(ValueError):
        while True:
            yield (at := values.index(wanted, at + 1))


def numbered(vocabulary: Vocabulary) -> Vocabulary:
    """With `ids`, in their order; of ids that share a text: a control token's, a user-defined one's, or the first."""
    texts = vocabulary.tokens.texts()
    for i in vocabulary.blank:
        texts[i] = ""
    ids = dict(zip(texts, range(len(texts)), strict=True))
    if len(ids) < len(texts):
        ids = {}
        for i, text in enumerate(texts):
            ids.setdefault(text, i)
        for preferred in (vocabulary.user_defined, vocabulary.control):
            ids |= {texts[i]: i for i in sorted(preferred, reverse=True)}
    ids.pop("", None)
    return replace(vocabulary, ids=ids)


def _warn(message: str) -> None:
    import logging

    logging.getLogger("undiced.text").warning(message)


def _flag(metadata: Mapping[str, object], key: str) -> bool | None:
    value = metadata.get(key)
    if value is not None and value not in (True, False):
        raise CheckpointError(f"{key} is neither true nor false.", remedy=_REMEDY)
    return None if value is None else bool(value)
