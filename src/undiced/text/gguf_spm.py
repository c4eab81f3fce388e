"""SentencePiece BPE from GGUF metadata (`tokenizer.ggml.model` = llama): scores become ranked merges.

A piece may be merged from any two pieces that spell it; better scores go first, then the longer left part. This is
the order of published tokenizer.json files. Finding 500,000 merges takes a second or two, so they are cached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.errors import CheckpointError
from undiced.text.endings import ending_ids
from undiced.text.gguf_bpe import add_special_tokens
from undiced.text.merge_cache import load_merges, store_merges
from undiced.text.parts import Parts
from undiced.text.vocabulary import Kind, Vocabulary, read_vocabulary

if TYPE_CHECKING:
    import tokenizers

SPACE = "\u2581"
MAX_PIECE = 1024
MAX_SPLITS = 32_000_000


def build_spm(metadata: Mapping[str, object], key: str, cache_dir: Path) -> Parts:
    """key: the checkpoint's digest. Raises CheckpointError for a damaged vocabulary."""
    vocabulary = read_vocabulary(metadata)
    if not vocabulary.scores:
        raise CheckpointError(
            "The file has a SentencePiece vocabulary but no tokenizer.ggml.scores.", remedy="Fetch it again."
        )
    pieces = _pieces(vocabulary)
    ids = dict(zip(pieces, range(len(pieces)), strict=True))
    left, right = _merges(vocabulary, pieces, ids, key, cache_dir)
    prefix = vocabulary.add_space_prefix is not False
    engine = _engine(
        vocabulary,
        pieces,
        ids,
        list(zip(map(pieces.__getitem__, left), map(pieces.__getitem__, right), strict=True)),
        prefix,
    )
    return Parts(
        engine=engine,
        byte_level=False,
        space_prefix=prefix,
        vocab_size=len(pieces),
        control=vocabulary.control,
        literal=frozenset(),
        bos_id=vocabulary.bos_id,
        eos_ids=vocabulary.end_ids | ending_ids(ids.get, vocabulary.control.__contains__),
        add_bos=vocabulary.add_bos is not False,
    )


def _pieces(vocabulary: Vocabulary) -> list[str]:
    """Token texts with spaces spelled U+2581: converters write user-defined pieces with plain spaces."""
    pieces = list(vocabulary.tokens)
    for i in vocabulary.user_defined:
        pieces[i] = pieces[i].replace(" ", SPACE)
    return pieces


def _merges(
    vocabulary: Vocabulary, pieces: list[str], ids: dict[str, int], key: str, cache_dir: Path
) -> tuple[list[int], list[int]]:
    if (found := load_merges(cache_dir, key, len(pieces))) is not None:
        return found
    left, right = ranked_merges(vocabulary, pieces, ids)
    store_merges(cache_dir, key, left, right)
    return left, right


def ranked_merges(vocabulary: Vocabulary, pieces: Sequence[str], ids: Mapping[str, int]) -> tuple[list[int], list[int]]:
    """Left and right ids of every merge, best first. Control, unknown and byte pieces take no part."""
    if sum(map(len, pieces)) > MAX_SPLITS or max(map(len, pieces)) > MAX_PIECE:
        raise CheckpointError("The vocabulary has pieces of absurd length.", remedy="Fetch the file again.")
    plain = {int(Kind.NORMAL), int(Kind.USER_DEFINED), int(Kind.UNUSED)}
    usable = {piece: i for piece, i in ids.items() if vocabulary.kinds[i] in plain}
    found: list[tuple[float, int, int, int, int]] = []
    for piece, i in usable.items():
        score = 0.0 if i in vocabulary.user_defined else vocabulary.scores[i]
        for cut in range(1, len(piece)):
            left = usable.get(piece[:cut])
            if left is not None and (right := usable.get(piece[cut:])) is not None:
                found.append((-score, -cut, cut - len(piece), left, right))
    found.sort(key=lambda merge: merge[:3])
    return [merge[3] for merge in found], [merge[4] for merge in found]


def _engine(
    vocabulary: Vocabulary, pieces: list[str], ids: dict[str, int], merges: list[tuple[str, str]], prefix: bool
) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    unknown = None if vocabulary.unknown_id is None else pieces[vocabulary.unknown_id]
    try:
        model = BPE(ids, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    except Exception as error:
        raise CheckpointError(
            f"The SentencePiece vocabulary is inconsistent: {error}.", remedy="Fetch the file again."
        ) from error
    engine = Tokenizer(model)
    replace = normalizers.Replace(" ", SPACE)
    engine.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), replace]) if prefix else replace
    steps: list[decoders.Decoder] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    engine.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)
    add_special_tokens(engine, vocabulary, pieces)
    return engine
