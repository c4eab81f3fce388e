"""The tokenizer of a Hugging Face folder: tokenizer.json as it is, and the settings in the files beside it.

Reads JSON only; nothing of the folder is executed. Where files leave something open, what transformers does counts.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from undiced.core.documents import read_object_if_there
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.opening import read_if_there
from undiced.core.quote import quoted
from undiced.text.endings import BEGINNINGS, endings
from undiced.text.parts import Parts
from undiced.text.source import TextSource
from undiced.text.vocabulary import MAX_TOKENS

if TYPE_CHECKING:
    import tokenizers

T = TypeVar("T")
MAX_TOKENIZER_BYTES = 64 << 20  # ours: the largest tokenizer.json seen has 34 MB
MOST = {b",": 2_000_000, b":": 700_000, b"{": 40_000}  # ours: 262,000 tokens have 1,350,000, 310,000 and about 15,000
MAX_STEPS, MAX_GROWTH = 32, 4096  # ours: published files have about 6 steps, which write one to three characters
ROLES = ("bos_token", "eos_token", "unk_token", "pad_token")
PROBES = "a" + string.printable + "\u3042"  # ours: a vocabulary or a normalizer may leave letters out
_OTHER = "Use another model, or a GGUF file of this one if there is any."
_REMEDY = "Fetch the folder again, tokenizer.json included."


def load_folder(checkpoint: TextSource) -> Parts:
    """Raises CheckpointError for a missing or damaged file, UnsupportedError for a tokenizer that is not BPE."""
    engine = _engine(checkpoint.path, checkpoint.name)
    byte_level, space_prefix = _alphabet(engine)
    pieces = _pieces(engine)
    names = special_texts(checkpoint)
    lead = _lead(engine)
    bos_id = lead if lead is not None else _id_of(engine, names.get("bos_token"))
    stated = _stated_ends(engine, names, checkpoint, len(pieces))
    added = engine.get_added_tokens_decoder()
    known = endings(engine.token_to_id)
    meant = stated | {bos_id} | set(known.values()) | {_id_of(engine, name) for name in BEGINNINGS}
    control = frozenset(i for i, token in added.items() if token.special or i in meant)
    ends = frozenset(stated | (control & set(known.values())))
    if not ends:
        _warn(f"{checkpoint.name}: no token ends a text; answers go on to their limit.")
    complete = _registered(engine, control)
    return Parts(
        engine=lambda: complete,
        pieces=pieces,
        byte_level=byte_level,
        space_prefix=space_prefix,
        control=control,
        literal=frozenset(added) if byte_level else frozenset(),
        bos_id=bos_id,
        unknown_id=_id_of(engine, engine.model.unk_token),
        eos_ids=ends,
        add_bos=lead is not None or _adds_bos(checkpoint.path),
    )


def special_texts(checkpoint: TextSource) -> dict[str, str]:
    """Texts of tokens with a role (`bos_token` and so on): tokenizer_config.json's, else special_tokens_map.json's."""
    config = read_object_if_there(checkpoint.path / "tokenizer_config.json")
    found: dict[str, str] = {}
    for source in (config, read_object_if_there(checkpoint.path / "special_tokens_map.json")):
        for role in ROLES:
            value = source.get(role)
            text = value.get("content") if isinstance(value, Mapping) else value
            if isinstance(text, str) and text:
                found.setdefault(role, text)
    return found


def _stated_ends(
    engine: tokenizers.Tokenizer, names: Mapping[str, str], checkpoint: TextSource, count: int
) -> set[int]:
    """Ids that the files name as ends of a text; ids outside the vocabulary end nothing."""
    generation = read_object_if_there(checkpoint.path / "generation_config.json")
    ends = {_id_of(engine, names.get("eos_token"))}
    for settings in (generation, checkpoint.metadata, checkpoint.metadata.get("text_config")):
        value = settings.get("eos_token_id") if isinstance(settings, Mapping) else None
        ends.update(i for i in (value if isinstance(value, list) else [value]) if type(i) is int)
    found = {i for i in ends if i is not None and 0 <= i < count}
    if beyond := sorted(i for i in ends if i is not None and i not in found):
        _warn(f"{checkpoint.name}: eos_token_id {str(beyond[0])[:40]} is outside the {count} tokens; it ends nothing.")
    return found


def _warn(message: str) -> None:
    import logging

    logging.getLogger("undiced.text").warning(message)


def _engine(folder: Path, name: str) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    data = read_if_there(folder / "tokenizer.json", MAX_TOKENIZER_BYTES)
    if data is None:
        raise CheckpointError(f"There is no tokenizer.json in {name}.", remedy=_REMEDY)
    for sign, most in MOST.items():
        if data.count(sign) > most:
            raise CheckpointError(
                f"tokenizer.json holds more than {most} times {sign.decode()!r}, which no vocabulary needs.",
                remedy=_REMEDY,
            )
    engine = _guarded(lambda: Tokenizer.from_buffer(data.removeprefix(b"\xef\xbb\xbf")))
    if not isinstance(engine.model, BPE):
        kind = type(engine.model).__name__
        raise UnsupportedError(f"Tokenizers of the kind {kind} are not supported, BPE is.", remedy=_OTHER)
    _refuse_growth(engine)
    engine.no_truncation()
    engine.no_padding()
    return engine


def _refuse_growth(engine: tokenizers.Tokenizer) -> None:
    """Steps that lengthen a text multiply: a few kilobytes of them would need gigabytes for one letter."""
    growth, byte_levels = 1, 0
    for part in (engine.normalizer, engine.pre_tokenizer):
        steps = [] if part is None else _flat(json.loads(part.__getstate__()))
        byte_levels += sum(step.get("type") == "ByteLevel" for step in steps)
        for step in steps:
            growth *= max(1, len(str(step.get("content") or step.get("prepend") or "")))
        if len(steps) > MAX_STEPS or byte_levels > 2 or growth > MAX_GROWTH:
            raise CheckpointError(
                "tokenizer.json has more steps of normalization or splitting than any vocabulary needs.", remedy=_REMEDY
            )


def _flat(step: dict[str, object]) -> list[dict[str, object]]:
    """A step and all that it consists of."""
    inner = step.get("normalizers") or step.get("pretokenizers")
    parts = [part for part in inner if isinstance(part, dict)] if isinstance(inner, list) else []
    return [step, *(one for part in parts for one in _flat(part))]


def _guarded(work: Callable[[], T]) -> T:
    """The library's answer; what it raises about tokenizer.json, panics too, becomes one error."""
    try:
        return work()
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a Rust panic is no Exception
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"tokenizer.json is damaged: {reason}.", remedy=_REMEDY) from None


def _pieces(engine: tokenizers.Tokenizer) -> list[str | None]:
    """Tokens by id; None where the file leaves an id out."""
    ids = engine.get_vocab(with_added_tokens=True)
    count = max(ids.values(), default=-1) + 1
    if count > MAX_TOKENS:
        raise CheckpointError(
            f"tokenizer.json has a token with the id {count - 1}; {MAX_TOKENS} are allowed.", remedy=_REMEDY
        )
    pieces: list[str | None] = [None] * count
    for piece, i in ids.items():
        if pieces[i] is not None:
            raise CheckpointError(
                f"tokenizer.json gives the id {i} to two tokens, {quoted(pieces[i])} and {quoted(piece)}.",
                remedy=_REMEDY,
            )
        pieces[i] = piece or f"[EMPTY_{i}]"
    return pieces


def _registered(engine: tokenizers.Tokenizer, control: frozenset[int]) -> tokenizers.Tokenizer:
    """The engine with every control token found by its exact name only.

    Published files may say that a control token is to be looked for in normalized text, where other spellings of the
    name become it, such as full-width letters under NFKC.
    """
    from tokenizers import AddedToken, Tokenizer

    exact = Tokenizer(engine.model)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        if (value := getattr(engine, part)) is not None:
            setattr(exact, part, value)
    tokens = [
        AddedToken(
            token.content,
            single_word=token.single_word,
            lstrip=token.lstrip,
            rstrip=token.rstrip,
            normalized=token.normalized and i not in control,
            special=i in control,
        )
        for i, token in sorted(engine.get_added_tokens_decoder().items())
    ]
    exact.add_tokens(tokens)
    return exact


def _alphabet(engine: tokenizers.Tokenizer) -> tuple[bool, bool]:
    """Whether tokens are spelled in the byte alphabet, and whether decoding takes a leading space away."""
    decoder = {} if engine.decoder is None else json.loads(engine.decoder.__getstate__())
    steps = list(_steps(decoder))
    kinds = {step.get("type") for step in steps}
    if "ByteLevel" in kinds:
        return True, False
    if kinds & {"Replace", "Metaspace", "ByteFallback"}:
        metaspace = any(s.get("type") == "Metaspace" and s.get("prepend_scheme", "always") != "never" for s in steps)
        strip = any(s.get("type") == "Strip" and s.get("content") == " " and s.get("start") for s in steps)
        return False, metaspace or strip
    names = ", ".join(sorted(str(kind) for kind in kinds))
    raise UnsupportedError(f"The decoder {names} of tokenizer.json is not supported.", remedy=_OTHER)


def _steps(decoder: dict[str, object]) -> Iterable[dict[str, object]]:
    inner = decoder.get("decoders")
    return [step for step in inner if isinstance(step, dict)] if isinstance(inner, list) else [decoder]


def _id_of(engine: tokenizers.Tokenizer, name: str | None) -> int | None:
    found: int | None = None if name is None else engine.token_to_id(name)
    return found


def _probed(engine: tokenizers.Tokenizer) -> tuple[list[int], list[int]]:
    """Ids of a letter without and with what the post-processor adds: of the first that is spelled at all."""
    for text in PROBES:
        if plain := _guarded(partial(_ids, engine, text, False)):
            return plain, _guarded(partial(_ids, engine, text, True))
    return [], []


def _ids(engine: tokenizers.Tokenizer, text: str, whole: bool) -> list[int]:
    found: list[int] = engine.encode(text, add_special_tokens=whole).ids
    return found


def _lead(engine: tokenizers.Tokenizer) -> int | None:
    """The token that the post-processor puts before every text, or None."""
    plain, whole = _probed(engine)
    starts = [at for at in range(len(whole)) if plain and whole[at : at + len(plain)] == plain]
    lead = whole[: starts[0]] if starts else []
    if len(lead) > 1:
        raise UnsupportedError(
            f"tokenizer.json puts the tokens {lead[:8]} before every text; at most one is supported.",
            remedy=_OTHER,
        )
    return lead[0] if lead else None


def _adds_bos(folder: Path) -> bool:
    return read_object_if_there(folder / "tokenizer_config.json").get("add_bos_token") is True
