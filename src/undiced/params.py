"""SamplingParams: how Python programs say what an answer shall be. The numbers that bend a distribution are the rows of
`core.sampling`; the rest is here. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from undiced.core.errors import InvalidRequestError
from undiced.core.sampling import TOP_LOGPROBS_MAX, Parameters, Sampling, random_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams(Parameters):
    """How to continue a prompt. Greedy unless a temperature is given; `core.sampling` says what each number means.

    Attributes:
        max_tokens: most tokens to generate; None fills the context, 0 generates none.
        seed: equal seeds give equal answers; None draws one.
        n: answers to one prompt, whose seeds differ.
        min_tokens: before that many nothing ends the answer: no end token, no stop token, no stop string.
        stop: a string or strings that end the answer; they are not part of it.
        stop_token_ids: further tokens that end it.
        include_stop_str_in_output: the text ends with the stop string, or the stop token's text.
        ignore_eos: generate through end-of-sequence tokens.
        skip_special_tokens: control tokens are no text; else their names are.
        logit_bias: added to the logits of tokens, by id.
        allowed_token_ids: the only tokens that may be chosen; None allows all.
        logprobs: None, or how many likely tokens to report beside each token's own log-probability, 0 to 20.
        prompt_logprobs: the same for the prompt's tokens, from the second one on.
    """

    temperature: float = 0.0
    max_tokens: int | None = 256
    seed: int | None = None
    n: int = 1
    min_tokens: int = 0
    stop: str | Sequence[str] | None = None
    stop_token_ids: Sequence[int] | None = None
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    logit_bias: Mapping[int, float] | None = None
    allowed_token_ids: Sequence[int] | None = None
    logprobs: int | None = None
    prompt_logprobs: int | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def sampling(self) -> Sampling:
        """What the engine is told.

        Raises:
            InvalidRequestError: an impossible value that the engine's own check can't see.
        """
        _check(self)
        rest = Sampling(
            seed=random_seed() if self.seed is None else self.seed,
            logit_bias=tuple((self.logit_bias or {}).items()),
            allowed=tuple(self.allowed_token_ids or ()),
            logprobs=-1 if self.logprobs is None else self.logprobs,
            min_tokens=self.min_tokens,
        )
        return rest.bent(lambda name: getattr(self, name))


def _check(params: SamplingParams) -> None:
    most = params.max_tokens
    if params.n < 1:
        raise InvalidRequestError(f"n is {params.n}; it must be at least 1.", param="n")
    if params.min_tokens < 0 or (most is not None and params.min_tokens > max(most, 0)):
        raise InvalidRequestError(
            f"min_tokens is {params.min_tokens}; it must be between 0 and max_tokens.", param="min_tokens"
        )
    if params.allowed_token_ids is not None and not params.allowed_token_ids:
        raise InvalidRequestError("allowed_token_ids is empty: no token could be chosen.", param="allowed_token_ids")
    for name in ("logprobs", "prompt_logprobs"):
        asked = getattr(params, name)
        if asked is not None and asked < 0:
            raise InvalidRequestError(f"{name} is {asked}; it must be between 0 and {TOP_LOGPROBS_MAX}.", param=name)
