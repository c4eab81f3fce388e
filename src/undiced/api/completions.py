"""Text completions: prompts to token ids, pieces to completion chunks. Knows nothing of sampling, streaming or HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from undiced.api.chunks import Chunks, Folded, Head, encode, finish_reason, time_object, usage_object
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.api.generation import Piece, Tally, TokenLogprob
    from undiced.api.settings import Settings

Prompt = str | list[int]


def prompts_of(prompt: str | list[str | int | list[int]], settings: Settings) -> list[Prompt]:
    """The prompts of a request: one text, several texts, one list of token ids, or several.

    Raises:
        InvalidRequestError: empty, mixed, or too many; `param` is prompt.
    """
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise InvalidRequestError("prompt is empty.", remedy="Send some text.", param="prompt")
    if all(isinstance(item, int) for item in prompt):
        return [cast("list[int]", prompt)]
    if len(prompt) > settings.max_prompts:
        raise InvalidRequestError(
            f"prompt has {len(prompt)} entries, at most {settings.max_prompts} are allowed.", param="prompt"
        )
    if all(isinstance(item, str) for item in prompt) or all(isinstance(item, list) for item in prompt):
        return cast("list[Prompt]", prompt)
    raise InvalidRequestError("prompt mixes texts and token ids.", remedy="Send one kind.", param="prompt")


def check_ids(ids: list[int], vocab: int) -> list[int]:
    """Refuse token ids that the model does not have."""
    if ids and not (min(ids) >= 0 and max(ids) < vocab):
        worst = min(ids) if min(ids) < 0 else max(ids)
        raise InvalidRequestError(
            f"prompt holds {str(worst)[:24]}, which is not a token id below {vocab}.", param="prompt"
        )
    return ids


def logprobs_object(rows: list[TokenLogprob] | None, offset: int) -> dict[str, object] | None:
    """The `logprobs` member of a completion choice. `offset`: characters before the first of these tokens."""
    if rows is None:
        return None
    offsets = []
    for row in rows:
        offsets.append(offset)
        offset += len(row.text)
    return {
        "tokens": [row.text for row in rows],
        "token_logprobs": [row.logprob for row in rows],
        "top_logprobs": [
            {row.text: row.logprob, **{rival.text: rival.logprob for rival in row.rivals}} for row in rows
        ],
        "text_offset": offsets,
    }


class CompletionShape(Chunks):
    """Text completions on the wire; a chunk looks like an answer."""

    object = "text_completion"

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self._text_lead: dict[int, bytes] = {}
        self._offsets: dict[int, int] = {}

    def piece(self, piece: Piece) -> bytes:
        """One chunk with the piece's text."""
        lead = self._text_lead.get(piece.index)
        if lead is None:
            lead = self._text_lead[piece.index] = self.lead(piece.index) + b'"text":'
        if piece.logprobs is None:
            if not piece.text:
                return b""
            return b"".join((lead, encode(piece.text), b',"logprobs":null,"finish_reason":null}', self.tail(piece)))
        offset = self._offsets.get(piece.index, 0)
        self._offsets[piece.index] = offset + sum(len(row.text) for row in piece.logprobs)
        if not piece.text and not piece.logprobs:
            return b""
        rows = encode(logprobs_object(piece.logprobs, offset))
        return b"".join((lead, encode(piece.text), b',"logprobs":', rows, b',"finish_reason":null}', self.tail(piece)))

    def finish(self, piece: Piece, tally: Tally | None) -> bytes:
        """The rest of the text, then the chunk with the finish reason."""
        reason = encode(finish_reason(piece))
        return (
            self.piece(piece)
            + self.lead(piece.index)
            + b'"text":"","logprobs":null,"finish_reason":'
            + reason
            + b"}"
            + self.finish_tail(tally)
        )

    def whole(self, choices: list[Folded], tally: Tally) -> bytes:
        """The answer in one piece."""
        rows = [
            {
                "index": choice.index,
                "text": "".join(choice.text),
                "logprobs": logprobs_object(choice.logprobs, 0),
                "finish_reason": choice.finish,
            }
            for choice in choices
        ]
        ending = {"usage": usage_object(tally), "time_info": time_object(tally, self.head.created_s)}
        return self.head.opening("text_completion")[:-1] + encode(rows) + b"," + encode(ending)[1:]
