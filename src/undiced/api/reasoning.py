"""How thoughts are told, and how long they may be, as clients ask for it under many names. Knows no template.

Sources of the words and of what is usual: Cerebras' reference; the other names are vLLM's, DashScope's, Anthropic's and
OpenRouter's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.api.limits import whole
from undiced.api.schemas import Reasoning, ThinkingSwitch
from undiced.core.errors import InvalidRequestError, UnsupportedError
from undiced.serve.guide import NO_BUDGET

if TYPE_CHECKING:
    from undiced.api.schemas import ChatBody
    from undiced.text.formats import Dialect

_NONE, _PARSED, _TEXT_PARSED, _RAW, _HIDDEN = FORMATS = ("none", "parsed", "text_parsed", "raw", "hidden")
_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Shown:
    """How thoughts are told.

    Attributes:
        raw: in the content, with their marks. hidden: not at all.
        rows_apart: their log-probabilities have a member of their own.
    """

    raw: bool = False
    hidden: bool = False
    rows_apart: bool = False


USUAL = Shown()


def shown(wire: ChatBody, dialect: Dialect, *, json: bool) -> Shown:
    """How the thoughts of an answer are told. json: its content is a JSON document.

    Raises:
        InvalidRequestError: an unknown word, a contradiction, or raw thoughts in a JSON document.
    """
    word = wire.reasoning_format or _NONE
    if word not in FORMATS:
        raise InvalidRequestError(f"reasoning_format must be one of {', '.join(FORMATS)}.", param="reasoning_format")
    inner = wire.reasoning or Reasoning()
    hides = {"include_reasoning": wire.include_reasoning is False, "reasoning.exclude": bool(inner.exclude)}
    for name in (name for name, hidden in hides.items() if hidden):
        if word not in (_NONE, _HIDDEN):
            raise InvalidRequestError(f"{name} and reasoning_format disagree.", param=name, remedy="Send one of them.")
        word = _HIDDEN
    if word == _RAW and json:
        raise InvalidRequestError(
            "reasoning_format raw would put thoughts into the JSON document.",
            param="reasoning_format",
            remedy="Use parsed or hidden.",
        )
    if word == _NONE:
        word = _TEXT_PARSED if not dialect.raw else _HIDDEN if json else _RAW
    return Shown(word == _RAW, word == _HIDDEN, word == _PARSED)


def budget(wire: ChatBody, dialect: Dialect) -> int:
    """Most tokens of a thought; `NO_BUDGET` where nothing was said.

    Raises:
        InvalidRequestError: no whole number from 0 on, or two that differ.
        UnsupportedError: a model whose thoughts can't be told apart.
    """
    inner, switch = wire.reasoning or Reasoning(), wire.thinking
    said = {
        "reasoning_max_tokens": wire.reasoning_max_tokens,
        "thinking_budget": wire.thinking_budget,
        "thinking_token_budget": wire.thinking_token_budget,
        "reasoning.max_tokens": inner.max_tokens,
        "thinking.budget_tokens": switch.budget_tokens if isinstance(switch, ThinkingSwitch) else None,
    }
    found, first = NO_BUDGET, ""
    for name, value in said.items():
        count = NO_BUDGET if value is None else _count(name, value)
        if count == NO_BUDGET:
            continue
        if first and count != found:
            raise InvalidRequestError(f"{first} and {name} disagree.", param=name, remedy="Send one of them.")
        found, first = count, first or name
    if first and not dialect.thinks:
        raise UnsupportedError(
            f"{first} is not supported: this model does not think, or its thoughts can't be told apart.",
            remedy="Leave it out.",
            param=first,
        )
    return found


def _count(name: str, value: float) -> int:
    count = whole(name, value)
    if isinstance(value, bool) or not NO_BUDGET <= count <= _INT32:
        raise InvalidRequestError(f"{name} must be between -1 and {_INT32}, got {str(value)[:24]}.", param=name)
    return count


def clears(wire: ChatBody) -> bool | None:
    """Whether the thoughts of finished turns are left out of the prompt; None leaves it to the template.

    Raises InvalidRequestError for two members that disagree.
    """
    inner = wire.thinking.clear_thinking if isinstance(wire.thinking, ThinkingSwitch) else None
    if None not in (wire.clear_thinking, inner) and wire.clear_thinking != inner:
        raise InvalidRequestError(
            "clear_thinking and thinking.clear_thinking disagree.",
            param="thinking.clear_thinking",
            remedy="Send one of them.",
        )
    return inner if wire.clear_thinking is None else wire.clear_thinking
