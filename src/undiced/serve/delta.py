"""What streams out of the engine: tokens of a sequence as they come, and the engine's own figures. Data only."""

from __future__ import annotations

import msgspec

from undiced.serve.usage import FinishReason, UsageEvent


class Delta(msgspec.Struct, array_like=True, gc=False):
    """New tokens of one sequence; one is made a token, so it is a struct that costs a tenth of a microsecond.

    The last delta of a sequence, and only it, has `usage`; it may hold no tokens.

    Attributes:
        request_id: the request's id.
        tokens: the new token ids; a stop token that ended the sequence is the last of them.
        logprobs: natural log-probability of each of `tokens`; empty unless the request asked.
        top: for each of `tokens`, (token id, log-probability) pairs, most likely first; empty unless asked.
        finish_reason: why the sequence ended, or None.
        stop_token: the stop token that ended the sequence, or None.
        usage: the account of the sequence, or None.
        prompt_logprobs, prompt_top: the same for further tokens of the prompt, from its second one on; only if asked.
        hidden: the hidden state of the prompt's last token as float32, little-endian; empty unless asked.
        error: if the sequence failed alone, the `NoToken` that says why; see `serve.failure`.
    """

    request_id: str
    tokens: list[int] = []
    logprobs: list[float] = []
    top: list[list[tuple[int, float]]] = []
    finish_reason: FinishReason | None = None
    stop_token: int | None = None
    usage: UsageEvent | None = None
    error: int = 0
    prompt_logprobs: list[float] = []
    prompt_top: list[list[tuple[int, float]]] = []
    hidden: bytes = b""

    @property
    def speaks(self) -> bool:
        """Whether it tells of any token."""
        return bool(self.tokens or self.prompt_logprobs)

    def split(self) -> tuple[Delta, Delta]:
        """The tokens of a last delta, with the finish reason, and its account in a delta of its own: between the two a
        reader may say that the sequence has ended at an earlier token.
        """
        tokens = Delta(self.request_id, self.tokens, self.logprobs, self.top, self.finish_reason, self.stop_token)
        tokens.prompt_logprobs, tokens.prompt_top = self.prompt_logprobs, self.prompt_top
        return tokens, Delta(self.request_id, finish_reason=self.finish_reason, usage=self.usage)


class EngineStats(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The engine's figures after its latest step; counters grow from the engine's start.

    Attributes:
        running: sequences with pages; waiting: in the queue; preempted: waiting to be recomputed.
        pages: pages in the pool; pages_used: held by sequences; pages_cached: free, but still holding a reusable
            prefix.
        tokens_per_second: generated tokens per second, averaged over about a second of work.
        steps, prompt_tokens, cached_tokens, completion_tokens, preemptions, ended: counters.
            prompt_tokens counts computed ones only, recomputation included.
        drafted_tokens, accepted_tokens: counters of what was guessed, and of what of it was drawn; modeled_tokens and
            modeled_accepted: those of both that a draft model guessed. draft_s: seconds that it took, of `step_s`.
        step_s: seconds spent inside the backend; overhead_s: in the loop around it.
        joules: energy of all steps, NaN where not known.
        source: "host" or a machine's name.
    """

    running: int = 0
    waiting: int = 0
    preempted: int = 0
    pages: int = 0
    pages_used: int = 0
    pages_cached: int = 0
    tokens_per_second: float = 0.0
    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    preemptions: int = 0
    ended: int = 0
    step_s: float = 0.0
    overhead_s: float = 0.0
    joules: float = 0.0
    source: str = ""
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    modeled_tokens: int = 0
    modeled_accepted: int = 0
    draft_s: float = 0.0
