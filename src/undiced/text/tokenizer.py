"""Text to token ids and back, for any checkpoint. Knows no model and no chat format.

Text is encoded literally unless `special=True`: what users write cannot become a control token, whatever the
tokenizer's normalizer or its merges make of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.errors import TokenizerError, UnsupportedError
from undiced.core.quote import quoted
from undiced.text.bytelevel import piece_bytes
from undiced.text.parts import Parts
from undiced.text.source import TextSource

if TYPE_CHECKING:
    import tokenizers

_LONG_CHARS = 1024  # encoding takes about a microsecond per character
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Tokenizer:
    """Encodes, decodes and tells what each token spells. Safe to share between threads.

    Attributes:
        vocab_size: ids are below it. An id without a token, or beyond the tokenizer, is called `[PAD<id>]`, as
            converters call padding, and decodes to that: nothing that a model says vanishes.
        bos_id: beginning-of-text token, or None.
        eos_ids: every token that ends a text or a turn.
        add_bos: whether a prompt that is not a chat should begin with `bos_id`.
        control: ids that only `special=True` produces and that decode to nothing; only a character that the vocabulary
            cannot spell becomes `unknown_id` without it.
        space_prefix: encoding puts a space before a text and decoding takes it away (Llama 2, Mistral).
    """

    def __init__(self, parts: Parts, *, late: bool = False) -> None:
        """late: what encodes is made when a text first is to be encoded, which then takes as much longer."""
        self.vocab_size = len(parts.pieces)
        self.bos_id = parts.bos_id
        self.eos_ids = parts.eos_ids
        self.add_bos = parts.add_bos and parts.bos_id is not None
        self.control = parts.control
        self.space_prefix = parts.space_prefix
        self._forbidden = parts.control - {parts.unknown_id}
        self._byte_level = parts.byte_level
        self._spelled = parts.literal
        self._pieces = parts.pieces
        self._make = parts.engine
        self._bytes: list[bytes | None] = [None] * self.vocab_size
        if not late:
            _ = self._engines

    @cached_property
    def _engines(self) -> tuple[tokenizers.Tokenizer, tokenizers.Tokenizer]:
        """What reads control tokens in a text, and what reads them as text."""
        special = self._make()
        return special, _literal_twin(special)

    def encode(self, text: str, *, special: bool = False, continuation: bool = False) -> list[int]:
        """Token ids of `text`, without beginning or end tokens.

        special: also parse control tokens in the text. continuation: the text follows another, so it gets no space.
        """
        if continuation and self.space_prefix:
            head = self.encode("\n")
            return self.encode("\n" + text, special=special)[len(head) :]
        try:
            found = _encode(self._engines[not special], text)
        except (UnicodeEncodeError, TypeError):
            text = _without_surrogates(text)
            found = _encode(self._engines[not special], text)
        ids: list[int] = found.ids
        if self._forbidden.isdisjoint(ids):
            return ids
        places = [at for at, token in enumerate(ids) if token in self._forbidden]
        if special:
            places = [at for at in places if not self._is_named(ids[at], _part(text, found, at))]
        return self._harmless(text, found, ids, places) if places else ids

    def begun(self, ids: list[int]) -> list[int]:
        """The ids of a text to be continued, with the beginning token once if the model wants one."""
        start = self.bos_id
        return [start, *ids] if self.add_bos and start is not None and ids[:1] != [start] else ids

    def _is_named(self, token: int, part: str) -> bool:
        """Whether a control token stands by its exact name in the part of the text that it was made of."""
        name = self._pieces[token]
        return name is not None and name in part

    def _harmless(self, text: str, found: tokenizers.Encoding, all_ids: list[int], places: list[int]) -> list[int]:
        """The ids of an encoding with control tokens that a normalizer or merges made, at `places`, spelled out."""
        ids: list[int] = []
        spelled: dict[str, list[int]] = {}
        done = 0
        for at in places:
            part = _part(text, found, at)
            if part not in spelled:
                spelled[part] = self._spelled_out(part)
            ids += all_ids[done:at]
            ids += spelled[part]
            done = at + 1
        return ids + all_ids[done:]

    def _spelled_out(self, part: str) -> list[int]:
        """Ids of characters that together would be a control token; one that alone is such a token becomes U+FFFD."""
        ids: list[int] = []
        lead = _encode(self._engines[1], "\n").ids if self.space_prefix else []
        for character in part:
            for attempt in (character, "\ufffd"):
                alone = _encode(self._engines[1], ("\n" if self.space_prefix else "") + attempt).ids[len(lead) :]
                if self._forbidden.isdisjoint(alone):
                    ids += alone
                    break
        return ids

    def decode(self, ids: Iterable[int], *, continuation: bool = False) -> str:
        """Text of `ids`: control tokens vanish, invalid UTF-8 becomes U+FFFD.

        `continuation`: the ids follow others, so a leading space is text and stays.
        """
        text = b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")
        return text[1:] if self.space_prefix and not continuation and text.startswith(" ") else text

    def token_bytes(self, token: int) -> bytes:
        """What the token adds to a text; empty for control tokens."""
        if not 0 <= token < self.vocab_size:
            return _padding(token).encode()
        known = self._bytes[token]
        if known is None:
            known = self._bytes[token] = b"" if token in self.control else self._spell(token)
        return known

    def token_text(self, token: int) -> str:
        """The token for display, never empty: control tokens show their name, incomplete UTF-8 shows U+FFFD."""
        if token in self.control:
            return self._pieces[token] or _padding(token)
        return self.token_bytes(token).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """What tells a token from others: what it adds to a text, or its name where that is nothing."""
        return (self._pieces[token] or _padding(token)).encode() if token in self.control else self.token_bytes(token)

    def is_padding(self, token: int) -> bool:
        """Whether there is no token of this id."""
        return self._pieces[token] in (None, _padding(token))

    def id_of(self, name: str) -> int | None:
        """The id of a token by its exact stored text, as `<|im_end|>`."""
        found: int | None = self._engines[0].token_to_id(name)
        return found

    def control_texts(self) -> list[str]:
        """Names of all control tokens."""
        return [name for token in self.control if (name := self._pieces[token])]

    def _spell(self, token: int) -> bytes:
        piece = self._pieces[token]
        if piece is None:
            return _padding(token).encode()
        if self._byte_level:
            return piece.encode("utf-8", "replace") if token in self._spelled else piece_bytes(piece)
        if match := _BYTE_PIECE.fullmatch(piece):
            return bytes.fromhex(match[1])
        return piece.replace("\u2581", " ").encode("utf-8", "replace")


def load_tokenizer(checkpoint: TextSource, cache_dir: Path | None = None, *, late: bool = False) -> Tokenizer:
    """The tokenizer of a GGUF file or a Hugging Face folder.

    cache_dir: where results that are slow to find are kept, keyed by `checkpoint.digest`; the user's cache by default.
    late: what encodes may be made when a text first is to be encoded; who has token ids needs none.
    Raises UnsupportedError for a tokenizer we do not know, by name, and CheckpointError for a damaged one.
    """
    if checkpoint.kind == "hf":
        from undiced.text.hf_folder import load_folder

        return Tokenizer(load_folder(checkpoint))
    model = checkpoint.metadata.get("tokenizer.ggml.model")
    if model == "gpt2":
        from undiced.text.gguf_bpe import build_bpe

        return Tokenizer(build_bpe(checkpoint.metadata, late=late), late=late)
    if model == "llama":
        from undiced.checkpoint.cache import cache_dir as user_cache
        from undiced.text.gguf_spm import build_spm

        folder = user_cache() / "tokenizers" if cache_dir is None else cache_dir
        return Tokenizer(build_spm(checkpoint.metadata, checkpoint.digest, folder))
    name, known = checkpoint.name, "'gpt2' (byte-level BPE) and 'llama'"
    message = f"The tokenizer {quoted(model)} of {name} is not supported; known are {known}."
    raise UnsupportedError(
        message, remedy="Use a model with one of these, or its Hugging Face folder with tokenizer.json."
    )


def _padding(token: int) -> str:
    """The name of an id without a token, as converters name padding."""
    return f"[PAD{token}]"


def _encode(engine: tokenizers.Tokenizer, text: str) -> tokenizers.Encoding:
    """A long text is encoded without the interpreter lock, so that other threads go on.

    Raises TokenizerError where the library gives up on the text: it reports a panic, which is no Exception.
    """
    try:
        if len(text) < _LONG_CHARS:
            return engine.encode(text, add_special_tokens=False)
        return engine.encode_batch([text], add_special_tokens=False)[0]
    except (UnicodeEncodeError, TypeError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        reason = " ".join(str(error).split())[:200]
        raise TokenizerError(
            f"The model's tokenizer failed on the text: {reason}.", remedy="Send another text, or use another model."
        ) from None


def _part(text: str, found: tokenizers.Encoding, at: int) -> str:
    """The characters that a token was made of."""
    start, end = found.token_to_chars(at) or (0, 0)
    return text[start:end]


def _literal_twin(engine: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A tokenizer that shares the (large) model of `engine` and reads control tokens as ordinary text."""
    from tokenizers import Tokenizer as Engine

    twin = Engine(engine.model)
    if engine.normalizer is not None:
        twin.normalizer = engine.normalizer
    if engine.pre_tokenizer is not None:
        twin.pre_tokenizer = engine.pre_tokenizer
    twin.add_tokens([token for _, token in sorted(engine.get_added_tokens_decoder().items())])
    twin.encode_special_tokens = True
    return twin


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
