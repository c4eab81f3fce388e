"""SentencePiece BPE from GGUF metadata (`tokenizer.ggml.model` = llama): scores become ranked merges.

A piece may be merged from any two pieces that spell it; better scores go first, then the longer left part. This is
the order of published tokenizer.json files. Finding 500,000 merges takes a second or two, so they are cached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from undiced.checkpoint.gguf_fields import Strings
from undiced.core.errors import CheckpointError
from undiced.text.gguf_bpe import add_special_tokens
from undiced.text.merge_cache import load_merges, store_merges
from undiced.text.parts import Parts
from undiced.text.vocabulary import Kind, Vocabulary, numbered, numbers, read_vocabulary

if TYPE_CHECKING:
    import tokenizers

SPACE = "\u2581"
MAX_PIECE = 1024
MAX_SPLITS = 8_000_000  # ours: a vocabulary of 262,000 pieces has about 2,000,000
MAX_MERGES = 2_000_000  # ours: the same has about 520,000


def build_spm(metadata: Mapping[str, object], key: str, cache_dir: Path) -> Parts:
    """key: the checkpoint's digest. Raises CheckpointError for a damaged vocabulary."""
    vocabulary = numbered(_spelled(read_vocabulary(metadata)))
    scores = numbers(metadata, "tokenizer.ggml.scores", len(vocabulary.tokens))
    if not scores:
        raise CheckpointError(
            "The file has a SentencePiece vocabulary but no tokenizer.ggml.scores.", remedy="Fetch it again."
        )
    left, right = _merges(vocabulary, scores, key, cache_dir)
    pieces = vocabulary.tokens.texts()
    prefix = vocabulary.add_space_prefix is not False
    engine = _engine(
        vocabulary,
        list(zip(map(pieces.__getitem__, left), map(pieces.__getitem__, right), strict=True)),
        prefix,
    )
    return Parts(
        engine=lambda: engine,
        pieces=vocabulary.tokens,
        byte_level=False,
        space_prefix=prefix,
        control=vocabulary.control,
        literal=frozenset(),
        bos_id=vocabulary.bos_id,
        unknown_id=vocabulary.unknown_id,
        eos_ids=vocabulary.end_ids,
        add_bos=vocabulary.add_bos is not False,
    )


def _spelled(vocabulary: Vocabulary) -> Vocabulary:
    """Token texts with spaces spelled U+2581: converters write user-defined pieces with plain spaces."""
    if all(" " not in vocabulary.tokens[i] for i in vocabulary.user_defined):
        return vocabulary
    pieces = vocabulary.tokens.texts()
    for i in vocabulary.user_defined:
        pieces[i] = pieces[i].replace(" ", SPACE)
    return replace(vocabulary, tokens=Strings(pieces))


def _merges(vocabulary: Vocabulary, scores: Sequence[float], key: str, cache_dir: Path) -> tuple[list[int], list[int]]:
    if (found := load_merges(cache_dir, key, len(vocabulary.tokens))) is not None:
        return found
    left, right = ranked_merges(vocabulary, scores)
    store_merges(cache_dir, key, left, right)
    return left, right


def ranked_merges(vocabulary: Vocabulary, scores: Sequence[float]) -> tuple[list[int], list[int]]:
    """Left and right ids of every merge, best first. Control, unknown and byte pieces take no part."""
    pieces, ids = vocabulary.tokens.texts(), vocabulary.ids
    if sum(map(len, pieces)) > MAX_SPLITS or max(map(len, pieces)) > MAX_PIECE:
        raise CheckpointError("The vocabulary has pieces of absurd length.", remedy="Fetch the file again.")
    plain = {int(Kind.NORMAL), int(Kind.USER_DEFINED), int(Kind.UNUSED)}
    usable = {piece: i for piece, i in ids.items() if vocabulary.kinds[i] in plain}
    found: list[tuple[float, int, int, int, int]] = []
    for piece, i in usable.items():
        score = 0.0 if i in vocabulary.user_defined else scores[i]
        for cut in range(1, len(piece)):
            left = usable.get(piece[:cut])
            if left is not None and (right := usable.get(piece[cut:])) is not None:
                found.append((-score, -cut, cut - len(piece), left, right))
        if len(found) > MAX_MERGES:
            raise CheckpointError("The vocabulary has an absurd number of merges.", remedy="Fetch the file again.")
    found.sort(key=lambda merge: merge[:3])
    return [merge[3] for merge in found], [merge[4] for merge in found]


def _engine(vocabulary: Vocabulary, merges: list[tuple[str, str]], prefix: bool) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    unknown = None if vocabulary.unknown_id is None else vocabulary.tokens[vocabulary.unknown_id]
    unknown = unknown if unknown in vocabulary.ids else None
    try:
        model = BPE(dict(vocabulary.ids), merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    except Exception as error:
        raise CheckpointError(
            f"The SentencePiece vocabulary is inconsistent: {error}.", remedy="Fetch the file again."
        ) from error
    engine = Tokenizer(model)
    replace = normalizers.Replace(" ", SPACE)
    engine.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), replace]) if prefix else replace
    steps: list[decoders.Decoder] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    engine.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)
    add_special_tokens(engine, vocabulary)
    return engine
