"""Text completions: prompts to token ids, pieces to completion chunks. Knows nothing of sampling, streaming or HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from undiced.api.chunks import Chunks
from undiced.core.errors import InvalidRequestError
from undiced.text.detokenizer import Detokenizer

if TYPE_CHECKING:
    from undiced.api.chunks import Folded
    from undiced.api.ports import Tokenizer
    from undiced.api.settings import Settings
    from undiced.text.logprobs import TokenLogprob

Prompt = str | list[int]


def prompts_of(
    prompt: str | list[str | int | list[int]], settings: Settings, name: str = "prompt", most: int = 0
) -> list[Prompt]:
    """The prompts of a request: one text, several texts, one list of token ids, or several.

    Raises:
        InvalidRequestError: empty, mixed, or too many; `param` is the member's name.
    """
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise InvalidRequestError(f"{name} is empty.", remedy="Send some text.", param=name)
    kinds = set(map(type, prompt))
    if kinds == {int}:
        return [cast("list[int]", prompt)]
    most = most or settings.max_prompts
    if len(prompt) > most:
        raise InvalidRequestError(f"{name} has {len(prompt)} entries, at most {most} are allowed.", param=name)
    if kinds in ({str}, {list}):
        return cast("list[Prompt]", prompt)
    raise InvalidRequestError(f"{name} mixes texts and token ids.", remedy="Send one kind.", param=name)


def check_ids(ids: list[int], vocab: int, name: str = "prompt") -> list[int]:
    """Refuse token ids that the model does not have."""
    if ids and not (min(ids) >= 0 and max(ids) < vocab):
        worst = min(ids) if min(ids) < 0 else max(ids)
        raise InvalidRequestError(f"{name} holds {str(worst)[:24]}, which is not a token id below {vocab}.", param=name)
    return ids


def detokenized(tokenizer: Tokenizer, ids: list[int], names: bool) -> str:
    """The text of a prompt that came as token ids. names: control tokens are written by their names."""
    text = Detokenizer(tokenizer, names=names)
    return "".join(map(text.push, ids)) + text.flush()


def _name(row: TokenLogprob) -> str:
    """A token's text, or its bytes where they are no text: names of tokens that share an object must differ."""
    try:
        return row.spelled.decode() or row.text
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in row.spelled)


def _top(row: TokenLogprob) -> dict[str, float | None] | None:
    """The likeliest tokens and this one, each under a name of its own; None for a text's first token."""
    if row.logprob is None:
        return None
    named: dict[str, float | None] = {}
    for token in (row, *row.rivals):
        name, count = _name(token), 1
        while named.get(name, token.logprob) != token.logprob:
            count += 1
            name = f"{_name(token)} #{count}"
        named[name] = token.logprob
    return named


class CompletionShape(Chunks):
    """Text completions on the wire; a chunk looks like an answer."""

    kind = chunk_kind = "text_completion"
    before, after, silent = b'"text":', b"", b'"text":""'

    def logprobs(self, rows: list[TokenLogprob]) -> dict[str, object]:
        """The `logprobs` member of a choice."""
        return {
            "tokens": [_name(row) for row in rows],
            "token_logprobs": [row.logprob for row in rows],
            "top_logprobs": [_top(row) for row in rows],
            "text_offset": [row.offset for row in rows],
        }

    def members(self, choice: Folded) -> dict[str, object]:
        """The text."""
        return {"text": "".join(choice.text)}
