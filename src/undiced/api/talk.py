"""How a conversation becomes a prompt, as clients ask for it: many members, some of which say the same. Renders nothing
and knows no template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.api.reasoning import clears
from undiced.api.schemas import Reasoning
from undiced.core.errors import InvalidRequestError
from undiced.text import PromptOptions, Thinking
from undiced.text.thinking import EFFORTS

if TYPE_CHECKING:
    from undiced.api.schemas import ChatBody
    from undiced.api.tools import Toolbox


def prompt_options(wire: ChatBody, box: Toolbox) -> PromptOptions:
    """What a chat request says about its prompt. box: its tools.

    Raises:
        InvalidRequestError: contradictions; an unknown word. `param` names the member.
    """
    if wire.continue_final_message and wire.add_generation_prompt:
        raise InvalidRequestError(
            "continue_final_message and add_generation_prompt exclude each other.",
            param="continue_final_message",
            remedy="Send one of them.",
        )
    return PromptOptions(
        add_generation_prompt=wire.add_generation_prompt is not False,
        continue_final_message=bool(wire.continue_final_message),
        variables=wire.chat_template_kwargs or {},
        thinking=thinking_of(wire),
        tools=box.shown,
        documents=wire.documents or (),
        clear_thinking=clears(wire),
    )


def thinking_of(wire: ChatBody) -> Thinking:
    """What a request says about thinking, in whichever member it says it."""
    inner = wire.reasoning or Reasoning()
    efforts = {"reasoning_effort": wire.reasoning_effort, "reasoning.effort": inner.effort}
    effort_at, effort = _agreed({name: value for name, value in efforts.items() if value is not None})
    if effort is not None and effort not in EFFORTS:
        raise InvalidRequestError(f"{effort_at} must be one of {', '.join(EFFORTS)}.", param=effort_at)
    switches = {
        "enable_thinking": wire.enable_thinking,
        "thinking": _switch(wire),
        "disable_reasoning": False if wire.disable_reasoning else None,
        "reasoning.enabled": inner.enabled,
    }
    on_at, on = _agreed({name: value for name, value in switches.items() if value is not None})
    if on is not None and effort is not None:
        _agreed({on_at: on, effort_at: effort != "none"})
    return Thinking(None if on is None else bool(on), None if effort is None else str(effort), on_at or effort_at)


def _switch(wire: ChatBody) -> bool | None:
    if wire.thinking is None or isinstance(wire.thinking, bool):
        return wire.thinking
    if wire.thinking.type not in ("enabled", "disabled"):
        raise InvalidRequestError("thinking.type must be enabled or disabled.", param="thinking.type")
    return wire.thinking.type == "enabled"


def _agreed(said: dict[str, bool | str]) -> tuple[str, bool | str | None]:
    """The first of several members that mean the same, and its value."""
    for name, value in said.items():
        first = next(iter(said))
        if value != said[first]:
            raise InvalidRequestError(f"{first} and {name} disagree.", param=name, remedy="Send one of them.")
    return next(iter(said.items()), ("", None))
