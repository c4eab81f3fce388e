"""SamplingParams: how Python programs say what an answer shall be. The numbers that bend a distribution are the rows of
`core.sampling`; what is left open is settled by the rule in `core.usual`. Knows no engine and no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

from undiced.core.errors import InvalidRequestError
from undiced.core.sampling import TOP_LOGPROBS_MAX, Sampling, random_seed
from undiced.core.usual import Numbers, settled


class StructuredOutputsParams(Struct, frozen=True, kw_only=True):
    """What the text of an answer has to look like: one of these.

    Attributes:
        json: a JSON document of a schema: the schema as an object or as text, or a class that tells it by
            `model_json_schema`.
        regex: what a regular expression describes as a whole.
        choice: one of some texts.
        grammar: what a grammar in Lark's notation derives from `start`.
        json_object: any JSON object.
    """

    json: object = None
    regex: str | None = None
    choice: Sequence[str] | None = None
    grammar: str | None = None
    json_object: bool = False

    def grammar_text(self) -> str:
        """As an engine's grammars read it.

        Raises:
            InvalidRequestError: it can't be held to, or not one thing is asked for.
        """
        from undiced.grammar import choice_form, json_form, lark_form, regex_form, schema_form

        given = (self.json is not None, self.regex is not None, self.choice is not None, self.grammar is not None)
        if sum((*given, self.json_object)) != 1:
            raise InvalidRequestError(
                "structured_outputs takes one of json, regex, choice, grammar and json_object.",
                param="structured_outputs",
            )
        if self.json is not None:
            return schema_form(_schema(self.json), strict=True, place="json").grammar
        if self.regex is not None:
            return regex_form(self.regex, "regex").grammar
        if self.choice is not None:
            return choice_form(self.choice, "choice").grammar
        return json_form().grammar if self.grammar is None else lark_form(self.grammar, "grammar").grammar


def _schema(given: object) -> object:
    """A schema as JSON has it."""
    import json

    if isinstance(given, str):
        try:
            return json.loads(given)
        except ValueError as error:
            raise InvalidRequestError(f"The schema is no JSON: {error}.", param="json") from None
    told = getattr(given, "model_json_schema", None)
    return told() if callable(told) else given


class Usual(Enum):
    """Says that nothing was said."""

    LIMIT = "usual"


USUAL_LIMIT: Final = Usual.LIMIT


class SamplingParams(Struct, frozen=True, kw_only=True):
    """How to answer or continue a prompt. `core.sampling` says what each number means.

    A number that is None is the usual one. In a chat: the model's own (`LLM.chat_defaults` tells), or what suits small
    models. For other text: the likeliest token, without penalties.

    Attributes:
        max_tokens: most tokens to generate; None fills the context, 0 generates none. Unless given, up to 1,024 in a
            chat and 256 elsewhere, or what fits.
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
        structured_outputs: what the text has to look like. It ends when it is complete; only max_tokens can cut it.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | Usual | None = USUAL_LIMIT
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
    structured_outputs: StructuredOutputsParams | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def limit(self, room: int, usual: int) -> int:
        """Most tokens of an answer, where `room` are left behind the prompt and `usual` are enough for most."""
        if self.max_tokens is None:
            return max(1, room)
        if self.max_tokens is USUAL_LIMIT:
            return max(1, min(room, max(usual, self.min_tokens)))
        return self.max_tokens

    def sampling(self, usual: Numbers) -> Sampling:
        """What the engine is told; `usual` are the numbers where nothing was said.

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
        return rest.bent(settled(self, usual))


def _check(params: SamplingParams) -> None:
    most = params.max_tokens
    if params.n < 1:
        raise InvalidRequestError(f"n is {params.n}; it must be at least 1.", param="n")
    if params.min_tokens < 0 or (isinstance(most, int) and params.min_tokens > max(most, 0)):
        raise InvalidRequestError(
            f"min_tokens is {params.min_tokens}; it must be between 0 and max_tokens.", param="min_tokens"
        )
    if params.allowed_token_ids is not None and not params.allowed_token_ids:
        raise InvalidRequestError("allowed_token_ids is empty: no token could be chosen.", param="allowed_token_ids")
    for name in ("logprobs", "prompt_logprobs"):
        asked = getattr(params, name)
        if asked is not None and asked < 0:
            raise InvalidRequestError(f"{name} is {asked}; it must be between 0 and {TOP_LOGPROBS_MAX}.", param=name)
