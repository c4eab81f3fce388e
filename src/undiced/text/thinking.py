"""Thinking: whether and how hard a model shall think before it answers, as variables of its chat template.

Templates have a switch (`enable_thinking` or `thinking`), a word for the effort (`reasoning_effort`), both, or none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from undiced.core.errors import InvalidRequestError, UnsupportedError

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
USUAL_EFFORT = "medium"  # what a model without efforts is taken to do
_SWITCHES = ("enable_thinking", "thinking")
_EFFORT = "reasoning_effort"
_KWARGS = "chat_template_kwargs"
_CHANNELS = ("low", "medium", "high")  # what a model of channels takes, by its document; its template names one alone
_CHANNEL = "<|channel|>"
_REASONING = "reasoning_content"
_TAG = "<think>"  # in the template of a model that thinks


@dataclass(frozen=True, slots=True)
class Thinking:
    """What is asked for.

    Attributes:
        on: whether the model shall think; None leaves it to the template and to `effort`.
        effort: one of EFFORTS, or None; "none" is off.
        param: the member of the request that asks.
    """

    on: bool | None = None
    effort: str | None = None
    param: str = ""


def template_variables(
    given: Mapping[str, object], asked: Thinking, known: Collection[str], source: str
) -> dict[str, object]:
    """The variables of a template: those that a request names, and those that do what it asks about thinking.

    A switch that the template doesn't know by this name is what it asks.

    Args:
        given: the request's own variables. known: names that the template reads. source: the template.

    Raises:
        InvalidRequestError: a variable that the template doesn't read, is of the wrong type, or contradicts another.
        UnsupportedError: as `thinking_variables`.
    """
    found: dict[str, object] = {}
    wanted = [asked]
    for name, value in given.items():
        place = f"{_KWARGS}.{name[:64]}"
        if name in _SWITCHES and not isinstance(value, bool):
            raise InvalidRequestError(f"{place} must be true or false.", param=place)
        if name in known:
            found[name] = value
        elif name in _SWITCHES:
            wanted.append(Thinking(bool(value), None, place))
        else:
            raise InvalidRequestError(
                f"The chat template of this model reads no variable '{name[:64]}'.",
                remedy=f"It reads: {', '.join(sorted(known)[:20]) or 'none'}.",
                param=place,
            )
    for one in wanted:
        for name, value in thinking_variables(one, known, source).items():
            if found.setdefault(name, value) != value:
                message = f"{one.param} and another member about thinking disagree."
                raise InvalidRequestError(message, remedy="Send one of them.", param=one.param)
    return found


def thinking_variables(asked: Thinking, known: Collection[str], source: str) -> dict[str, object]:
    """The variables that make a template do what is asked.

    Args:
        known: names that the template reads. source: the template.

    Raises:
        UnsupportedError: the template has no such switch, and the model would not do it by itself.
    """
    on, effort = asked.on, asked.effort
    found: dict[str, object] = {}
    taken = efforts(known, source)
    if _EFFORT in known and effort is not None and effort not in taken:
        raise UnsupportedError(
            f"{asked.param}: this model takes no effort '{effort}'.",
            remedy=f"Use {', '.join(taken)}.",
            param=asked.param,
        )
    switches = [name for name in _SWITCHES if name in known]
    if effort == "none" and (switches or _EFFORT not in known):
        on = False
    elif effort is not None and _EFFORT in known:
        found[_EFFORT] = effort
    elif effort is not None and (switches or effort != USUAL_EFFORT):
        on = True
    if on is None:
        return found
    thinks = _TAG in source or _EFFORT in known
    if not switches and on != thinks:
        what = "cannot switch its thinking off" if thinks else "does not think"
        raise UnsupportedError(
            f"{asked.param} is not supported: the chat template of this model {what}.",
            remedy="Leave it out.",
            param=asked.param,
        )
    return found | dict.fromkeys(switches, on)


def efforts(known: Collection[str], source: str) -> tuple[str, ...]:
    """How hard a model can be asked to think, from the names that its template reads and from the template: the words
    that it names; all where it has a switch alone; none where it does not think.
    """
    switch = any(name in known for name in _SWITCHES)
    if _EFFORT in known:
        quoted = set(re.findall(r"""["']([a-z]+)["']""", source))
        words = _CHANNELS if _CHANNEL in source else tuple(word for word in EFFORTS if word in quoted)
        usual = words if len(words) > 1 else EFFORTS[1:]
        return ("none", *usual) if switch and "none" not in usual else usual
    return EFFORTS if switch else EFFORTS[1:] if _TAG in source else ()


def without_finished_thoughts(messages: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Messages without the thoughts that came before the latest user's message."""
    finished = {at for at, _ in _finished(messages)}
    return [
        {name: value for name, value in message.items() if name != _REASONING} if at in finished else message
        for at, message in enumerate(messages)
    ]


def keeps_thoughts(messages: Sequence[Mapping[str, object]], prompt: str) -> bool:
    """Whether the thoughts that came before the latest user's message are in a prompt."""
    return all(thought.strip() in prompt for _, thought in _finished(messages))


def _finished(messages: Sequence[Mapping[str, object]]) -> Iterator[tuple[int, str]]:
    last = max((at for at, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    for at, message in enumerate(messages[: last + 1]):
        if isinstance(thought := message.get(_REASONING), str):
            yield at, thought
