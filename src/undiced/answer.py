"""Answer: one sequence on its way from an engine's tokens to a `Completion`. Knows no engine; tells its loop where a
stop string ended the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.outputs import Completion, Logprob, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from undiced.outputs import Place
    from undiced.serve import Delta, Request
    from undiced.serve.shared import SharedLoop
    from undiced.text import FoldOptions, Piece, Tokenizer
    from undiced.text.fold import Channels


class Answer:
    """See the file's head.

    Attributes:
        completion: the answer so far.
        prompt_places: what could have stood in the prompt's places from the second one on, as far as it was told.
    """

    def __init__(
        self,
        loop: SharedLoop,
        tokenizer: Tokenizer,
        request: Request,
        options: FoldOptions,
        index: int = 0,
        channels: Channels | None = None,
    ) -> None:
        from undiced.text import Fold

        self.request = request
        self.completion = Completion(index)
        self.prompt_places: list[Place] = []
        if request.sampling.logprobs >= 0:
            self.completion.logprobs, self.completion.cumulative_logprob = [], 0.0
        self._loop, self._tokenizer = loop, tokenizer
        self._fold = Fold(tokenizer, options, index=index, channels=channels)

    def take(self, delta: Delta) -> str:
        """New text of the content; a completed stop string ends the sequence where it was completed. Raises what it
        failed of.
        """
        if delta.error:
            from undiced.serve.failure import failure

            raise failure(delta.error)
        answer, fold = self.completion, self._fold
        known, open_ = fold.tokens, not fold.stopped
        new = "".join([self._take(piece) for piece in fold.push(delta)])
        if open_ and fold.stopped:
            self._loop.finish(self.request.id, fold.tokens)
            answer.stop_reason = fold.stop
        elif delta.stop_token in self.request.stop_token_ids:
            answer.stop_reason = delta.stop_token
        kept = fold.tokens - known
        self._count(delta, kept)
        prompt = self.request.prompt[1 + len(self.prompt_places) :]
        self.prompt_places += self._places(prompt, delta.prompt_logprobs, delta.prompt_top)
        if delta.usage is not None:
            answer.usage = delta.usage
            called = delta.usage.finish_reason == "stop" and bool(answer.tool_calls)
            answer.finish_reason = "tool_calls" if called else delta.usage.finish_reason
            answer.reasoning_tokens = fold.reasoning
        answer.text += new
        return new

    def _take(self, piece: Piece) -> str:
        """Put a piece where it belongs; returns what it adds to the content."""
        answer = self.completion
        if piece.channel == "content":
            return piece.text
        if piece.channel == "reasoning":
            answer.reasoning += piece.text
        elif piece.name:
            answer.tool_calls.append(ToolCall(piece.name, piece.text))
        elif piece.text:
            answer.tool_calls[-1].arguments += piece.text
        return ""

    def _count(self, delta: Delta, kept: int) -> None:
        answer = self.completion
        answer.token_ids += delta.tokens[:kept]
        if answer.logprobs is not None and answer.cumulative_logprob is not None:
            answer.logprobs += self._places(delta.tokens[:kept], delta.logprobs, delta.top)
            answer.cumulative_logprob += sum(delta.logprobs[:kept])

    def _places(
        self, tokens: Sequence[int], logprobs: Sequence[float], top: Sequence[Sequence[tuple[int, float]]]
    ) -> Iterator[Place]:
        text_of = self._tokenizer.token_text
        for at, (token, own) in enumerate(zip(tokens, logprobs, strict=False)):
            likely = top[at] if top else ()
            ranked = {other: Logprob(value, rank, text_of(other)) for rank, (other, value) in enumerate(likely, 1)}
            yield {token: ranked.pop(token, Logprob(own, None, text_of(token)))} | ranked
