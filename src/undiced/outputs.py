"""What a model says to Python programs: requests with their answers, named as programs for vLLM read them. Data alone;
knows neither the engine nor how tokens become text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from undiced.core.call import call_id

if TYPE_CHECKING:
    from undiced.serve import UsageEvent


class Logprob(Struct, frozen=True):
    """A token's log-probability in one place of a text.

    Attributes:
        rank: 1 is the likeliest; None where it is not among the likely tokens that were asked for.
        decoded_token: the token for display.
    """

    logprob: float
    rank: int | None
    decoded_token: str


Place = dict[int, Logprob]  # the token that stands there and the likeliest ones, by token id


class ToolCall(Struct):
    """A call of a function.

    Attributes:
        arguments: JSON text, an object unless a limit cut the answer.
        id: nine letters and digits.
    """

    name: str
    arguments: str = ""
    id: str = field(default_factory=call_id)

    def as_message(self) -> dict[str, object]:
        """As it stands in `tool_calls` of the assistant's message that goes back to the model."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class Completion(Struct):
    """An answer.

    Attributes:
        index: which of the answers to one prompt.
        text: without a stop string, unless it was to be included; without thoughts and calls.
        reasoning: thoughts. tool_calls: functions that it calls. reasoning_tokens: those of thoughts, with their marks.
        token_ids: generated ones, the end-of-sequence token included.
        logprobs: for each of them what could have stood there; None unless asked for.
        cumulative_logprob: the sum of their own log-probabilities; None unless asked for.
        finish_reason: "stop", "length" or "tool_calls"; empty while the answer is not complete.
        stop_reason: the stop string or stop token that ended it; None if the model ended it, or the limit.
        usage: tokens, seconds and, where they are known, joules of the sequence.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    reasoning_tokens: int = 0
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[Place] | None = None
    cumulative_logprob: float | None = None
    finish_reason: str = ""
    stop_reason: str | int | None = None
    usage: UsageEvent | None = None

    @property
    def tokens_per_second(self) -> float:
        """Tokens after the first over the time they took; 0 for fewer than two tokens."""
        if self.usage is None or self.usage.completion_s <= 0:
            return 0.0
        return max(0, self.usage.completion_tokens - 1) / self.usage.completion_s

    @property
    def time_to_first_token_s(self) -> float:
        """Seconds from submission to the first token."""
        return 0.0 if self.usage is None else self.usage.queue_s + self.usage.prompt_s


class RequestOutput(Struct):
    """A prompt with its answers.

    Attributes:
        prompt: its text; None if it came as token ids.
        prompt_logprobs: as `Completion.logprobs` for the prompt's tokens; None for the first of them, which nothing
            comes before, and None in all unless asked for.
        outputs: as many as `n`.
    """

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    outputs: list[Completion]
    prompt_logprobs: list[Place | None] | None = None

    @property
    def text(self) -> str:
        """The first answer's."""
        return self.outputs[0].text

    @property
    def finished(self) -> bool:
        """Whether every answer is complete."""
        return all(output.finish_reason for output in self.outputs)

    @property
    def num_cached_tokens(self) -> int:
        """Tokens of the prompt that had been computed for another request."""
        usage = self.outputs[0].usage
        return 0 if usage is None else usage.cached_tokens
