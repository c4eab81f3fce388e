"""Byte-level BPE from GGUF metadata (`tokenizer.ggml.model` = gpt2). Not cached: building is as fast as loading. What
encodes can be left for later: it takes longer, and more memory, than all else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from undiced.checkpoint.gguf_fields import Fields, Strings
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.quote import quoted
from undiced.text.parts import Parts
from undiced.text.presplit import DIGITS, GPT2, PRESPLITS, Presplit
from undiced.text.vocabulary import Vocabulary, numbered, read_vocabulary

if TYPE_CHECKING:
    import tokenizers
    from tokenizers.pre_tokenizers import PreTokenizer


_MERGES = "tokenizer.ggml.merges"
_NO_PAIR = "tokenizer.ggml.merges holds an entry that is not a pair."
MAX_MERGES = 1_000_000  # ours: the longest list seen has 515,000


def build_bpe(metadata: Mapping[str, object], *, late: bool = False) -> Parts:
    """Raises UnsupportedError for a pre-tokenizer we do not know, CheckpointError for a damaged vocabulary.

    late: the engine is made when it is called for, if the metadata allow that, and merges that contradict the
    vocabulary are an error only then.
    """
    presplit = _presplit(metadata)
    vocabulary = read_vocabulary(metadata)
    if not vocabulary.end_ids:
        raise CheckpointError(
            "No token of the file ends a text: there is no tokenizer.ggml.eos_token_id, and no token has a known name.",
            remedy="Convert the model again with a current converter.",
        )
    merges = metadata.strings(_MERGES) if isinstance(metadata, Fields) else None
    if late and merges is not None and len(merges) <= MAX_MERGES:
        make = partial(_late_engine, replace(vocabulary, kinds=()), merges, presplit)  # nobody asks for kinds any more
    else:
        engine = _engine(numbered(vocabulary), _merges(metadata, merges), presplit)
        make = partial(lambda made: made, engine)
    return Parts(
        engine=make,
        pieces=vocabulary.tokens,
        byte_level=True,
        space_prefix=False,
        control=vocabulary.control,
        literal=vocabulary.control | vocabulary.user_defined,
        bos_id=vocabulary.bos_id,
        eos_ids=vocabulary.end_ids,
        unknown_id=None,
        add_bos=presplit.add_bos if vocabulary.add_bos is None else vocabulary.add_bos,
    )


def add_special_tokens(engine: tokenizers.Tokenizer, vocabulary: Vocabulary) -> None:
    """Registers control and user-defined tokens, in order of their ids."""
    from tokenizers import AddedToken

    tokens = vocabulary.tokens
    engine.add_tokens(
        [
            AddedToken(tokens[i], special=i in vocabulary.control, normalized=False)
            for i in sorted(vocabulary.control | vocabulary.user_defined)
            if vocabulary.ids.get(tokens[i]) == i
        ]
    )


def _presplit(metadata: Mapping[str, object]) -> Presplit:
    name = metadata.get("tokenizer.ggml.pre")
    if name is None and metadata.get("general.architecture") == "gpt2":
        name = "gpt-2"
    found = PRESPLITS.get(name) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(sorted(PRESPLITS))
        message = f"The pre-tokenizer {quoted(name)} is not supported; known are {known}."
        raise UnsupportedError(
            message, remedy="Use a model with one of these, or its Hugging Face folder with tokenizer.json."
        )
    return found


def _merges(metadata: Mapping[str, object], strings: Strings | None) -> list[tuple[str, str]]:
    if strings is not None and len(strings) <= MAX_MERGES and (found := strings.pairs()) is not None:
        return found
    merges = metadata.get(_MERGES)
    if isinstance(merges, (list, tuple)) and len(merges) > MAX_MERGES:
        raise CheckpointError(f"tokenizer.ggml.merges holds {len(merges)} entries.", remedy="Fetch it again.")
    if not isinstance(merges, (list, tuple)):
        raise CheckpointError("The file has a BPE vocabulary but no tokenizer.ggml.merges.", remedy="Fetch it again.")
    pairs = [tuple(m.split(" ")) for m in merges if isinstance(m, str)]
    if len(pairs) != len(merges) or set(map(len, pairs)) - {2}:
        raise CheckpointError(_NO_PAIR, remedy="Fetch it again.")
    return pairs  # type: ignore[return-value]


def _late_engine(vocabulary: Vocabulary, merges: Strings, presplit: Presplit) -> tokenizers.Tokenizer:
    """As `_engine`; the vocabulary comes without its ids, whose dictionary takes ten times the memory of its texts."""
    pairs = merges.pairs()
    if pairs is None:
        raise CheckpointError(_NO_PAIR, remedy="Fetch it again.")
    return _engine(numbered(vocabulary), pairs, presplit)


def _engine(vocabulary: Vocabulary, merges: list[tuple[str, str]], presplit: Presplit) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    try:
        model = BPE(dict(vocabulary.ids), merges, ignore_merges=presplit.ignore_merges)
    except Exception as error:
        raise CheckpointError(
            f"The BPE vocabulary is inconsistent: {error}.", remedy="Fetch the file again."
        ) from error
    engine = Tokenizer(model)
    if presplit.nfc:
        engine.normalizer = normalizers.NFC()
    engine.pre_tokenizer = _pre_tokenizer(presplit)
    engine.decoder = decoders.ByteLevel()
    add_special_tokens(engine, vocabulary)
    return engine


def _pre_tokenizer(presplit: Presplit) -> PreTokenizer:
    from tokenizers import Regex
    from tokenizers import pre_tokenizers as pre

    steps: list[PreTokenizer] = []
    for split in presplit.splits:
        if split == DIGITS:
            steps.append(pre.Digits(individual_digits=True))
        elif split != GPT2:
            steps.append(pre.Split(Regex(split), behavior="isolated"))
    steps.append(pre.ByteLevel(add_prefix_space=False, use_regex=GPT2 in presplit.splits))
    return pre.Sequence(steps)
