"""From a wire type to a valid job: the only validation there is. Reads no text; prompts are turned into tokens by the
callers.

A job holds everything about a request that does not depend on its prompt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from undiced.api.errors import NotServedError
from undiced.api.limits import check_numbers, in_range
from undiced.api.service_class import class_of
from undiced.core.errors import InvalidRequestError
from undiced.core.sampling import BIAS, TOP_LOGPROBS_MAX, Range, Sampling, random_seed
from undiced.core.usual import settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.api.ports import Tokenizer
    from undiced.api.schemas import Body, ChatBody, CompletionBody
    from undiced.api.service_class import Asked
    from undiced.api.settings import Settings
    from undiced.core.usual import Numbers
    from undiced.grammar import Form

USUAL_TEXT_TOKENS = 16  # as OpenAI's reference has it
_TOKEN_ID = re.compile(r"0|[1-9][0-9]{0,8}")
FRESH_SEED = -1  # as other open servers have it
_BRACKETED = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")  # how names of control tokens are written
_ALLOWED = "allowed_token_ids"
_UNSERVED_REMEDY = "Leave it out."


@dataclass(frozen=True, slots=True)
class Job:
    """A valid request for text, apart from its prompt.

    Attributes:
        max_tokens: None is up to the context. usual_tokens: most tokens where the client did not say, or None.
        stop_ids: token ids that end the answer besides the model's own.
        stops: strings that end the answer. stop_names: control tokens whose names stand in them.
        stream, include_usage, continuous_usage: the form of the answer.
        include_stop, skip_special: as of `FoldOptions`.
        cache_salt: cached prefixes are shared only within a salt.
        scored: the prompt's tokens get log-probabilities too.
        form: what the answer has to look like, or None.
        service_class: as of `service_class.class_of`.
    """

    n: int
    max_tokens: int | None
    sampling: Sampling
    stop_ids: tuple[int, ...]
    ignore_eos: bool
    stops: tuple[str, ...]
    stop_names: dict[int, str]
    stream: bool
    include_usage: bool
    continuous_usage: bool
    include_stop: bool
    skip_special: bool
    cache_salt: str
    usual_tokens: int | None = None
    scored: bool = False
    form: Form | None = None
    service_class: Asked = ""

    @property
    def scores(self) -> int:
        """Log-probabilities that each token of a prompt gets, in all choices together."""
        return self.n * (2 + self.sampling.logprobs) if self.scored else 0


def chat_job(wire: ChatBody, tokenizer: Tokenizer, settings: Settings, own: Numbers) -> Job:
    """Validate everything in a chat request but its messages. own: numbers that the model brings.

    Raises:
        InvalidRequestError: an impossible value; `param` names the field.
        NotServedError: a feature that is not offered.
    """
    check_numbers(wire)
    if wire.top_logprobs and not wire.logprobs:
        raise InvalidRequestError("top_logprobs needs logprobs to be true.", param="top_logprobs")
    if wire.modalities is not None and set(wire.modalities) - {"text"}:
        raise NotServedError(
            "modalities other than text are not supported.", param="modalities", remedy=_UNSERVED_REMEDY
        )
    return _job(wire, (int(wire.top_logprobs or 0)) if wire.logprobs else -1, tokenizer, settings, own)


def completion_job(wire: CompletionBody, tokenizer: Tokenizer, settings: Settings) -> Job:
    """Validate everything in a text completion request but its prompt; raises as `chat_job` does."""
    check_numbers(wire)
    if wire.logprobs is not None:
        in_range("logprobs", wire.logprobs, Range(0, TOP_LOGPROBS_MAX))
    if wire.best_of is not None and wire.best_of != (wire.n or 1):
        raise NotServedError("best_of is not supported unless it equals n.", param="best_of", remedy=_UNSERVED_REMEDY)
    job = _job(wire, -1 if wire.logprobs is None else int(wire.logprobs), tokenizer, settings, {})
    asked = wire.max_tokens is not None or wire.max_completion_tokens is not None
    usual = None if asked else max(USUAL_TEXT_TOKENS, job.sampling.min_tokens)
    return replace(job, usual_tokens=usual, scored=bool(wire.echo) and job.sampling.logprobs >= 0)


def _one_of(wire: Body, old: str, new: str) -> int | None:
    """The value of a member with two names; both may be given if they agree."""
    first, second = getattr(wire, old), getattr(wire, new)
    if first is not None and second is not None and first != second:
        raise InvalidRequestError(
            f"{old} is {first} and {new} is {second}, but they mean the same.", param=old, remedy=f"Send {new} alone."
        )
    found: int | None = second if first is None else first
    return found


def _job(wire: Body, logprobs: int, tokenizer: Tokenizer, settings: Settings, own: Numbers) -> Job:
    vocab = tokenizer.vocab_size
    max_tokens, min_tokens = _lengths(wire)
    n = 1 if wire.n is None else int(wire.n)
    in_range("n", n, Range(1, settings.max_choices))
    stops = _stops(wire.stop, settings)
    names = _control_names(stops, tokenizer) if stops else {}
    options = wire.stream_options
    if options is not None and not wire.stream:
        raise InvalidRequestError("stream_options needs stream to be true.", param="stream_options")
    return Job(
        n=n,
        max_tokens=max_tokens,
        sampling=_sampling(wire, min_tokens, logprobs, vocab, settings).bent(settled(wire, own)),
        stop_ids=_token_ids(wire.stop_token_ids or (), vocab, "stop_token_ids", settings.max_bias)
        + tuple(token for token, name in names.items() if name in stops),
        ignore_eos=bool(wire.ignore_eos),
        stops=stops,
        stop_names=names,
        stream=bool(wire.stream),
        include_usage=bool(options and options.include_usage),
        continuous_usage=bool(options and options.continuous_usage_stats),
        include_stop=bool(wire.include_stop_str_in_output),
        skip_special=wire.skip_special_tokens is not False,
        cache_salt=salt_of(wire.cache_salt, settings),
        service_class=class_of(wire.service_tier),
    )


def salt_of(salt: str | None, settings: Settings) -> str:
    """What a request says that its cached prefixes shall be kept apart by.

    Raises:
        InvalidRequestError: it is too long.
    """
    if salt is None:
        return ""
    if len(salt) > settings.max_salt_chars:
        raise InvalidRequestError(f"cache_salt has over {settings.max_salt_chars} characters.", param="cache_salt")
    return salt


def _lengths(wire: Body) -> tuple[int | None, int]:
    """Bounds of the answer; -1 or nothing is the context for the longest and none for the shortest."""
    most = _one_of(wire, "max_tokens", "max_completion_tokens")
    least = _one_of(wire, "min_tokens", "min_completion_tokens")
    max_tokens = None if most in (None, -1) else most
    min_tokens = 0 if least in (None, -1) else int(least or 0)
    if max_tokens is not None and min_tokens > max_tokens:
        raise InvalidRequestError(
            f"min_tokens ({min_tokens}) is more than max_tokens ({max_tokens}).", param="min_tokens"
        )
    return max_tokens, min_tokens


def _sampling(wire: Body, min_tokens: int, logprobs: int, vocab: int, settings: Settings) -> Sampling:
    """How tokens are drawn, but for the numbers of `core.sampling`."""
    return Sampling(
        seed=random_seed() if wire.seed in (None, FRESH_SEED) else int(wire.seed or 0) % 2**64,
        logit_bias=_bias(wire.logit_bias or {}, vocab, settings),
        allowed=_allowed(wire.allowed_token_ids, vocab, settings),
        logprobs=logprobs,
        min_tokens=min_tokens,
    )


def _bias(entries: dict[str, float], vocab: int, settings: Settings) -> tuple[tuple[int, float], ...]:
    if len(entries) > settings.max_bias:
        raise InvalidRequestError(
            f"logit_bias has {len(entries)} entries, at most {settings.max_bias} are allowed.", param="logit_bias"
        )
    pairs = []
    for key, value in entries.items():
        if not (_TOKEN_ID.fullmatch(key) and int(key) < vocab):
            raise InvalidRequestError(f"logit_bias: '{key[:40]}' is not a token id below {vocab}.", param="logit_bias")
        in_range("logit_bias", value, BIAS.wire)
        pairs.append((int(key), value))
    return tuple(pairs)


def _token_ids(ids: Sequence[int], vocab: int, name: str, most: int) -> tuple[int, ...]:
    if len(ids) > most:
        raise InvalidRequestError(f"{name} has {len(ids)} entries, at most {most} are allowed.", param=name)
    wanted = tuple(sorted(set(ids)))
    for token in wanted:
        if not 0 <= token < vocab:
            raise InvalidRequestError(f"{name}: {str(token)[:24]} is not a token id below {vocab}.", param=name)
    return wanted


def _allowed(ids: Sequence[int] | None, vocab: int, settings: Settings) -> tuple[int, ...]:
    if ids is not None and not ids:
        raise InvalidRequestError("allowed_token_ids is empty, so that no token could be chosen.", param=_ALLOWED)
    return _token_ids(ids or (), vocab, _ALLOWED, settings.max_bias)


def _stops(stop: str | list[str] | None, settings: Settings) -> tuple[str, ...]:
    stops = () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)
    if len(stops) > settings.max_stops:
        raise InvalidRequestError(
            f"stop has {len(stops)} strings, at most {settings.max_stops} are allowed.", param="stop"
        )
    if any(not text for text in stops):
        raise InvalidRequestError("stop contains an empty string.", param="stop")
    if any(len(text) > settings.max_stop_chars for text in stops):
        raise InvalidRequestError(f"stop has a string over {settings.max_stop_chars} characters.", param="stop")
    return tuple(dict.fromkeys(stops))


def _control_names(stops: tuple[str, ...], tokenizer: Tokenizer) -> dict[int, str]:
    """Control tokens whose names stand in stop strings."""
    names = [*stops, *(name for text in stops for name in _BRACKETED.findall(text))]
    found = {tokenizer.id_of(name): name for name in names}
    return {token: name for token, name in found.items() if token is not None and token in tokenizer.control}
