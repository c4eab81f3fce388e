"""The tools of a Responses request as functions of a chat, and what each is called in the answer.

A custom tool is a function with one text. A tool of a namespace keeps its own name, by which models call it; where
another tool has that too, the namespace goes before it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from undiced.api.errors import NotServedError
from undiced.api.responses.fields import CUSTOM_FIELDS, FUNCTION_FIELDS, NAMESPACE_FIELDS
from undiced.api.responses.schemas import CustomTool, FunctionTool, Namespace
from undiced.api.schemas import AllowedTools, Chosen, ChosenFunction, Tool, ToolChoice, ToolFunction
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.api.responses.parts import Parts
    from undiced.api.responses.schemas import PickedTool, ToolFormat

INPUT = "input"  # the one member of a custom tool's arguments
_KINDS = ("function", "custom")
_CHOICE = "tool_choice"


@dataclass(frozen=True, slots=True)
class Called:
    """What a tool is called in an answer."""

    name: str
    namespace: str = ""
    custom: bool = False


@dataclass(slots=True)
class Offered:
    """See the file's head.

    Attributes:
        tools: of the chat request; `settle` names them. names: places of those, and what they are called here.
        called: by the name in the chat, and by every other one that models may use.
        shown: the tools that are served, as they came.
    """

    parts: Parts
    tools: list[Tool] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    called: dict[str, Called] = field(default_factory=dict)
    shown: list[msgspec.Raw] = field(default_factory=list)
    _named: list[tuple[ToolFunction, Called]] = field(default_factory=list)
    _chat: dict[str, str] = field(default_factory=dict)  # names in the chat, by all others

    def take(self, tools: list[msgspec.Raw], place: str, *, top: bool = True) -> None:
        """Take a list of tools. top: it is that of the request.

        Raises:
            InvalidRequestError: a member is missing or of the wrong type; `param` names it.
        """
        for at, raw in enumerate(tools):
            where = f"{place}[{at}]"
            kind = self.parts.typed(raw, where).type
            if kind is None:
                raise InvalidRequestError(f"{where}.type is required.", param=f"{where}.type")
            if kind == "namespace":
                self._namespace(raw, where)
            elif kind in _KINDS:
                self._tool(raw, kind, where)
            else:
                self.parts.skip(f"{where}.{kind}")
                continue
            if top:
                self.shown.append(msgspec.Raw(msgspec.json.format(bytes(raw), indent=-1)))

    def _namespace(self, raw: msgspec.Raw, place: str) -> None:
        found = self.parts.read(raw, Namespace, NAMESPACE_FIELDS, place, "tools[]")
        first = len(self.tools)
        for at, inner in enumerate(found.tools):
            where = f"{place}.tools[{at}]"
            kind = self.parts.typed(inner, where).type
            if kind in _KINDS:
                self._tool(inner, kind, where, found.name)
            else:
                self.parts.skip(f"{where}.{kind}")
        if found.description and self.tools[first:]:
            function = self.tools[first].function
            assert function is not None
            function.description = f"{found.description}\n\n{function.description or ''}".rstrip()

    def _tool(self, raw: msgspec.Raw, kind: str | None, place: str, namespace: str = "") -> None:
        chat = f"tools[{len(self.tools)}]"
        self.names |= {chat: place, f"{chat}.function": place}
        if kind == "function":
            plain = self.parts.read(raw, FunctionTool, FUNCTION_FIELDS, place, "tools[]")
            function = ToolFunction(plain.name, plain.description, plain.parameters, plain.strict)
        else:
            custom = self.parts.read(raw, CustomTool, CUSTOM_FIELDS, place, "tools[]")
            function = self._custom(custom, place)
            self.names[f"{chat}.function.parameters"] = f"{place}.format"
        self._named.append((function, Called(function.name, namespace, kind == "custom")))
        self.tools.append(Tool("function", function))

    def settle(self) -> None:
        """All tools are known: name them."""
        often = Counter(called.name for _, called in self._named)
        for function, called in self._named:
            if often[called.name] > 1:
                function.name = _full(called.name, called.namespace)
            self._chat.setdefault(function.name, function.name)
            self.called.setdefault(function.name, called)
        for function, called in self._named:
            for name in (_full(called.name, called.namespace), called.name):
                self._chat.setdefault(name, function.name)
                self.called.setdefault(name, called)

    def chat_name(self, name: str, namespace: str | None = None) -> str:
        """A tool's name in the chat; of one that is not offered any more too."""
        full = _full(name, namespace or "")
        return self._chat.get(full, full)

    def _custom(self, tool: CustomTool, place: str) -> ToolFunction:
        """A custom tool as a function. A regular expression is held to; a grammar is told to the model."""
        text: dict[str, object] = {"type": "string"}
        told = [tool.description or ""]
        held = False
        form = tool.format
        if form is not None and form.type == "grammar":
            self._check(form, place)
            if form.syntax == "regex":
                text["pattern"], held = f"^(?:{form.definition})$", True
            else:
                told.append(f"The input follows this grammar, in Lark's notation:\n{form.definition}")
                self.parts.skip(f"{place}.format")
        elif form is not None and form.type != "text":
            message = f"{place}.format.type must be text or grammar, not '{form.type[:40]}'."
            raise InvalidRequestError(message, param=f"{place}.format.type")
        schema = {"type": "object", "properties": {INPUT: text}, "required": [INPUT], "additionalProperties": False}
        return ToolFunction(tool.name, "\n\n".join(filter(None, told)), schema, held)

    def _check(self, form: ToolFormat, place: str) -> None:
        if form.syntax not in ("lark", "regex"):
            param = f"{place}.format.syntax"
            raise InvalidRequestError(f"{param} must be lark or regex.", param=param)
        if not form.definition:
            param = f"{place}.format.definition"
            raise InvalidRequestError(f"{param} is required.", param=param)

    def choice(self, picked: str | PickedTool | None) -> str | ToolChoice | None:
        """The choice of a tool as chats have it.

        Raises:
            NotServedError: the one tool that must be called is none of ours.
        """
        if picked is None or isinstance(picked, str):
            return picked
        if picked.type == "allowed_tools":
            ours = [one for one in picked.tools or () if one.type in _KINDS]
            for one in picked.tools or ():
                if one.type not in _KINDS:
                    self.parts.skip(f"{_CHOICE}.tools[].{one.type}")
            names = [Chosen(function=ChosenFunction(self.chat_name(one.name or ""))) for one in ours]
            return ToolChoice("allowed_tools", allowed_tools=AllowedTools(picked.mode or "auto", names))
        if picked.type not in _KINDS:
            message = f"{_CHOICE}.type '{picked.type[:40]}' is not supported: there is no such tool."
            raise NotServedError(message, param=f"{_CHOICE}.type", remedy="Choose a function or a custom tool.")
        return ToolChoice(function=ChosenFunction(self.chat_name(picked.name or "")))


def _full(name: str, namespace: str) -> str:
    return f"{namespace}.{name}" if namespace else name
