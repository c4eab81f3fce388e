"""Thinking: whether and how hard a model shall think before it answers, as variables of its chat template.

Templates have a switch (`enable_thinking` or `thinking`), a word for the effort (`reasoning_effort`), both, or none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from undiced.core.errors import UnsupportedError

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
USUAL_EFFORT = "medium"  # what a model without efforts is taken to do
_SWITCHES = ("enable_thinking", "thinking")
_EFFORT = "reasoning_effort"
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


def thinking_variables(asked: Thinking, known: Collection[str], source: str) -> dict[str, object]:
    """The variables that make a template do what is asked.

    Args:
        known: names that the template reads. source: the template.

    Raises:
        UnsupportedError: the template has no such switch, and the model would not do it by itself.
    """
    on, effort = asked.on, asked.effort
    found: dict[str, object] = {}
    switches = [name for name in _SWITCHES if name in known]
    if effort == "none":
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
