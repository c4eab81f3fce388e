"""Talk: what a chat of a Python program offers and asks for beside its messages, and how its answers are heard: tools,
thoughts. A part of the composition root: requests of programs are held against the rules of the HTTP API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.serve.guide import NO_BUDGET
from undiced.text import PromptOptions
from undiced.text.formats import TapeOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from undiced.api.tools import Toolbox
    from undiced.serve.guide import Guide
    from undiced.text.fold import Channels
    from undiced.text.formats import Dialect, Tool


@dataclass(frozen=True, slots=True)
class Talk:
    """One chat.

    Attributes:
        options: how its messages become a prompt.
        box: its tools, or None. most: tokens of a thought.
    """

    dialect: Dialect
    options: PromptOptions
    box: Toolbox | None = None
    most: int = NO_BUDGET

    def hear(self, prompt: str, said: str, *, stops: bool) -> Callable[[], Channels] | None:
        """Makes what tells the channels of an answer to a prompt apart. said: of an answer that is continued. stops:
        there are stop strings.
        """
        tools: dict[str, Tool] = {} if self.box is None else {tool.name: tool for tool in self.box.tools}
        single = self.box is not None and not self.box.parallel
        opened = self.dialect.opens(prompt, said)
        return self.dialect.channels(tools, TapeOptions(opened=opened, trim=not stops, single=single))

    def guide(self, grammar: str, prompt: str, said: str, encode: Callable[[str], Sequence[int]]) -> Guide | None:
        """What the engine holds an answer to. grammar: of its content, or empty."""
        thinks = self.dialect.thinks_in(encode, prompt, said)
        if self.box is None and thinks is None and not grammar:
            return None
        from undiced.api.guides import guide_of, held_form
        from undiced.grammar import Form

        content = Form(grammar) if grammar else None
        if self.box is None:
            return guide_of(content, thinks, self.most)
        form = held_form(self.box, self.dialect, content)
        return guide_of(form, thinks, self.most, calls=bool(self.box.tools))


def talk_of(dialect: Dialect, given: Mapping[str, object], *, resume: bool = False) -> Talk:
    """A chat with the members of a chat request that are given, as the HTTP API names them; None is not given.

    Raises:
        InvalidRequestError: as a request with them; `param` names the member.
        UnsupportedError: the model can't do it.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return Talk(dialect, PromptOptions(continue_final_message=resume))
    from undiced.api.reasoning import budget
    from undiced.api.schemas import chat_body
    from undiced.api.settings import Settings
    from undiced.api.talk import prompt_options
    from undiced.api.tools import toolbox

    wire = chat_body(given | ({"continue_final_message": True} if resume else {}))
    box = toolbox(wire, dialect, Settings())
    return Talk(dialect, prompt_options(wire, box), box, budget(wire, dialect))


def check_calls(messages: Sequence[Mapping[str, object]]) -> None:
    """Refuse calls and results that are not paired, in a conversation that has any.

    Raises InvalidRequestError; `param` names the call.
    """
    if any(message.get("tool_calls") or message.get("role") == "tool" for message in messages):
        from undiced.api.pairing import check_pairs
        from undiced.api.schemas import chat_body

        check_pairs(chat_body({"messages": list(messages)}).messages)
