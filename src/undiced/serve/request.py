"""Request: one sequence to generate, already valid. Token ids only; knows no text, no wire format and no clock.

`check` holds a request against a backend's limits; after that nothing downstream has to doubt it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from undiced.core.errors import ContextLengthError, InvalidRequestError
from undiced.core.sampling import BIAS, NO_LOGPROBS, PARAMETERS, SEED_BITS, TOP_LOGPROBS_MAX, Sampling
from undiced.serve.guide import Guide

if TYPE_CHECKING:
    from undiced.core.sampling import Parameter
    from undiced.engine.backend import Limits

_SEED_MASK = (1 << SEED_BITS) - 1
_SEED_STRIDE = 0x9E3779B97F4A7C15  # odd, so that the seeds of a request's copies never meet


class Priority(IntEnum):
    """Classes of requests; a lower number is served earlier."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Request(Struct, frozen=True):
    """One sequence to generate.

    Attributes:
        id: unique among the requests that are alive.
        prompt: token ids, at least one.
        max_tokens: most tokens to generate; 0 computes the prompt alone.
        eos_ids: the model's end-of-sequence tokens; `ignore_eos` generates through them.
        stop_token_ids: further tokens that end the sequence.
        cache_salt: requests share cached prefixes only with requests of the same salt.
        account: who shares are fair between; all requests of one are "" where nobody tells accounts apart.
        prompt_shared: another copy of the same request accounts for the prompt.
        prompt_logprobs: -1 none; else the log-probabilities of the prompt's own tokens from the second one on are told,
            each with that many of the likeliest ones in its place.
        guide: what the answer has to look like, or None.
        expected: tokens that the answer is expected to be, or to share much with; they save time where that is right.
        embeds: nothing is generated: the hidden state of the prompt's last token is told. max_tokens is 1.
        tag: whose request it is, in whatever words the front end likes; it comes back in the account.
    """

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    eos_ids: tuple[int, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    priority: Priority = Priority.NORMAL
    cache_salt: str = ""
    account: str = ""
    prompt_shared: bool = False
    tag: str = ""
    prompt_logprobs: int = NO_LOGPROBS
    guide: Guide | None = None
    embeds: bool = False
    expected: tuple[int, ...] = ()

    @property
    def stops(self) -> frozenset[int]:
        """Token ids that end the sequence."""
        return frozenset(self.stop_token_ids) | (frozenset() if self.ignore_eos else frozenset(self.eos_ids))

    def copies(self, n: int) -> tuple[Request, ...]:
        """`n` requests for independent samples of the same prompt, which they compute and account for once: ids
        `<id>.<i>`, seeds apart.
        """
        return tuple(
            replace(
                self,
                id=f"{self.id}.{i}",
                prompt_shared=i > 0,
                sampling=replace(self.sampling, seed=(self.sampling.seed + i * _SEED_STRIDE) & _SEED_MASK),
            )
            for i in range(n)
        )


def check(request: Request, limits: Limits) -> None:
    """Refuse what a backend of these limits can never run.

    Raises:
        ContextLengthError: prompt and completion are longer than the context or than the whole KV pool.
        InvalidRequestError: an empty prompt, a token id outside the vocabulary, a count or seed out of range.
    """
    prompt, wanted = len(request.prompt), request.max_tokens
    if not prompt:
        raise InvalidRequestError("The prompt is empty.", remedy="Send at least one token.", param="prompt")
    if wanted < 0:
        raise InvalidRequestError(f"max_tokens is {wanted}; it must be at least 0.", param="max_tokens")
    if prompt + wanted > limits.context:
        raise ContextLengthError(
            f"The context holds {limits.context} tokens, but prompt and completion need {prompt + wanted} "
            f"({prompt} in the prompt, {wanted} to generate).",
            remedy="Shorten the prompt or lower max_tokens.",
            param="max_tokens",
        )
    room, needed = limits.pages * limits.page_tokens, prompt + max(wanted - 1, 0)  # the last token needs no place
    if needed > room:
        raise ContextLengthError(
            f"The KV cache holds {room} tokens in all, but this request alone needs {needed}.",
            remedy="Shorten the prompt, lower max_tokens, or start the server with more KV pages.",
            param="max_tokens",
        )
    _check_ids("prompt", request.prompt, limits.vocab)
    _check_ids("logit_bias", tuple(token for token, _ in request.sampling.logit_bias), limits.vocab)
    _check_ids("allowed_token_ids", request.sampling.allowed, limits.vocab)
    _check_ids("stop_token_ids", request.stop_token_ids, limits.vocab)
    if (guide := request.guide) is not None:
        _check_ids("guide", guide.think_start + guide.think_end + guide.then, limits.vocab)
    _check_ids("prediction", request.expected, limits.vocab)
    _check_sampling(request.sampling)
    if request.embeds and not limits.hidden:
        raise InvalidRequestError("This engine tells no hidden states.", param="model", remedy="Use another model.")
    _check_logprobs("top_logprobs", request.sampling.logprobs)
    _check_logprobs("prompt_logprobs", request.prompt_logprobs)
    if request.prompt_logprobs >= 0 and not limits.scored_rows:
        raise InvalidRequestError("This engine tells no log-probabilities of prompts.", param="prompt_logprobs")


def _check_logprobs(param: str, count: int) -> None:
    if not NO_LOGPROBS <= count <= TOP_LOGPROBS_MAX:
        raise InvalidRequestError(f"{count} top logprobs asked for; 0 to {TOP_LOGPROBS_MAX} can be had.", param=param)


def _check_ids(param: str, ids: tuple[int, ...], vocab: int) -> None:
    if ids and not (min(ids) >= 0 and max(ids) < vocab):
        worst = min(ids) if min(ids) < 0 else max(ids)
        raise InvalidRequestError(f"{param} holds token id {worst}; the vocabulary has {vocab} tokens.", param=param)


def _check_sampling(sampling: Sampling) -> None:
    if not 0 <= sampling.seed <= _SEED_MASK:
        raise InvalidRequestError(f"seed is {sampling.seed}; it must fit 64 unsigned bits.", param="seed")
    for row in PARAMETERS:
        _check_range(row, getattr(sampling, row.name))
    for _, value in sampling.logit_bias:
        _check_range(BIAS, value)
    if len({token for token, _ in sampling.logit_bias}) < len(sampling.logit_bias):
        raise InvalidRequestError("logit_bias names a token twice.", param="logit_bias")


def _check_range(row: Parameter, value: float) -> None:
    if row.kind == "i4" and not isinstance(value, int):
        raise InvalidRequestError(f"{row.name} is {value}; it must be a whole number.", param=row.name)
    if value not in row.engine:
        raise InvalidRequestError(
            f"{row.name} is {value}; it must be between {row.engine.low:g} and {row.engine.high:g}.", param=row.name
        )
