"""The tokenizer of a Hugging Face folder: tokenizer.json as it is, and the settings in the files beside it.

Reads JSON only; nothing of the folder is executed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.text.endings import ending_ids
from undiced.text.parts import Parts
from undiced.text.source import TextSource

if TYPE_CHECKING:
    import tokenizers

MAX_JSON_BYTES = 256 << 20
_REMEDY = "Fetch the folder again, tokenizer.json included."


def load_folder(checkpoint: TextSource) -> Parts:
    """Raises CheckpointError for a missing or damaged file, UnsupportedError for a tokenizer that is not BPE."""
    engine = _engine(checkpoint.path / "tokenizer.json")
    config = read_json(checkpoint.path / "tokenizer_config.json")
    generation = read_json(checkpoint.path / "generation_config.json")
    added = engine.get_added_tokens_decoder()
    control = frozenset(i for i, token in added.items() if token.special)
    byte_level, space_prefix = _alphabet(engine)
    bos_id = _token_id(engine, config.get("bos_token"))
    ends = {_token_id(engine, config.get("eos_token"))}
    for settings in (generation, checkpoint.metadata):
        value = settings.get("eos_token_id")
        ends.update(i for i in (value if isinstance(value, list) else [value]) if isinstance(i, int))
    vocab_size = max(max(added, default=-1) + 1, engine.get_vocab_size(with_added_tokens=True))
    return Parts(
        engine=engine,
        byte_level=byte_level,
        space_prefix=space_prefix,
        vocab_size=vocab_size,
        control=control,
        literal=frozenset(added) if byte_level else frozenset(),
        bos_id=bos_id,
        eos_ids=frozenset(i for i in ends if i is not None and 0 <= i < vocab_size)
        | ending_ids(engine.token_to_id, control.__contains__),
        add_bos=_adds_bos(engine, config, bos_id),
    )


def read_json(path: Path) -> dict[str, object]:
    """The object in a JSON file; empty if there is no such file."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointError(f"{path.name} has more than {MAX_JSON_BYTES >> 20} MiB.", remedy=_REMEDY)
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}.", remedy=_REMEDY) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name} is not a JSON object.", remedy=_REMEDY)
    return value


def _engine(path: Path) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    if not path.is_file():
        raise CheckpointError(f"There is no tokenizer.json in {path.parent}.", remedy=_REMEDY)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise CheckpointError(f"tokenizer.json has more than {MAX_JSON_BYTES >> 20} MiB.", remedy=_REMEDY)
    try:
        engine = Tokenizer.from_file(str(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a Rust panic is no Exception
        raise CheckpointError(f"tokenizer.json is damaged: {error}.", remedy=_REMEDY) from None
    if not isinstance(engine.model, BPE):
        kind = type(engine.model).__name__
        raise UnsupportedError(
            f"Tokenizers of the kind {kind} are not supported, BPE is.", remedy="Choose another model."
        )
    engine.no_truncation()
    engine.no_padding()
    return engine


def _alphabet(engine: tokenizers.Tokenizer) -> tuple[bool, bool]:
    """Whether tokens are spelled in the byte alphabet, and whether decoding takes a leading space away."""
    decoder = {} if engine.decoder is None else json.loads(engine.decoder.__getstate__())
    steps = decoder.get("decoders", [decoder])
    kinds = {step.get("type") for step in steps}
    if "ByteLevel" in kinds:
        return True, False
    if kinds & {"Replace", "Metaspace", "ByteFallback"}:
        metaspace = any(s.get("type") == "Metaspace" and s.get("prepend_scheme", "always") != "never" for s in steps)
        strip = any(s.get("type") == "Strip" and s.get("content") == " " and s.get("start") for s in steps)
        return False, metaspace or strip
    names = ", ".join(sorted(str(kind) for kind in kinds))
    raise UnsupportedError(f"The decoder {names} of tokenizer.json is not supported.", remedy="Choose another model.")


def _token_id(engine: tokenizers.Tokenizer, token: object) -> int | None:
    name = token.get("content") if isinstance(token, dict) else token
    found: int | None = engine.token_to_id(name) if isinstance(name, str) else None
    return found


def _adds_bos(engine: tokenizers.Tokenizer, config: dict[str, object], bos_id: int | None) -> bool:
    if bos_id is None:
        return False
    if engine.encode("", add_special_tokens=True).ids[:1] == [bos_id]:
        return True
    return config.get("add_bos_token") is True
