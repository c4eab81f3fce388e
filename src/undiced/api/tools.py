"""The functions of a request: which there are, which may be called, and whether one must be. Parses; knows no model's
format and renders nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.api.errors import NotServedError
from undiced.api.schemas import ToolChoice
from undiced.core.errors import InvalidRequestError, UnsupportedError
from undiced.text.formats import Tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.api import schemas
    from undiced.api.schemas import ChatBody
    from undiced.api.settings import Settings
    from undiced.text.formats import Dialect

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_WORDS = ("none", "auto", "required")
_NOTHING: dict[str, object] = {"type": "object", "properties": {}, "additionalProperties": False}
_NO_TOOLS = "Leave tools out, or send tool_choice 'none'."


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What a request offers.

    Attributes:
        tools: those that the model is told of; none where it may call none.
        allowed: those that it may call now.
        forced: it must call one of these.
        parallel: it may make several calls at once.
    """

    tools: tuple[Tool, ...] = ()
    allowed: tuple[Tool, ...] = ()
    forced: bool = False
    parallel: bool = True

    @property
    def shown(self) -> tuple[dict[str, object], ...]:
        """The tools as chat templates read them."""
        return tuple(
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)},
            }
            for tool in self.tools
        )


NO_TOOLS = Toolbox()


def toolbox(wire: ChatBody, dialect: Dialect, settings: Settings, *, mixed: bool = False) -> Toolbox:
    """The functions of a request. mixed: some may be strict and others not.

    Raises:
        InvalidRequestError: an impossible tool or choice; `param` names it.
        NotServedError: tools that are no functions.
        UnsupportedError: a model that can't call.
    """
    _refuse_old(wire)
    if wire.tool_choice == "none":
        return NO_TOOLS
    tools = _tools(wire.tools or [], settings, mixed=mixed)
    mode, names = _choice(wire.tool_choice, {tool.name for tool in tools})
    if not tools:
        return NO_TOOLS
    if dialect.format is None:
        raise UnsupportedError(
            "tools is not supported: the chat template of this model tells it of no tools, or its calls can't be read.",
            remedy=f"Use a model that calls functions. {_NO_TOOLS}",
            param="tools",
        )
    allowed = tuple(tool for tool in tools if names is None or tool.name in names)
    return Toolbox(tools, allowed, mode == "required", wire.parallel_tool_calls is not False)


def _refuse_old(wire: ChatBody) -> None:
    """Functions as they were before tools."""
    if wire.functions and wire.function_call != "none":
        raise NotServedError("functions are not supported.", param="functions", remedy="Send tools.")
    if wire.function_call not in (None, "none", "auto"):
        raise NotServedError("function_call is not supported.", param="function_call", remedy="Send tool_choice.")


def _tools(wire: Sequence[schemas.Tool], settings: Settings, *, mixed: bool) -> tuple[Tool, ...]:
    if len(wire) > settings.max_tools:
        raise InvalidRequestError(
            f"tools has {len(wire)} entries, at most {settings.max_tools} are allowed.", param="tools"
        )
    found: dict[str, Tool] = {}
    for at, one in enumerate(wire):
        tool = _tool(one, f"tools[{at}]")
        if tool.name in found:
            place = f"tools[{at}].function.name"
            raise InvalidRequestError(f"{place}: there are two tools named '{tool.name}'.", param=place)
        found[tool.name] = tool
    if not mixed and len({tool.strict for tool in found.values()}) > 1:
        raise InvalidRequestError(
            "tools: strict is true for some and false for others.", param="tools", remedy="Send the same for all."
        )
    return tuple(found.values())


def _tool(wire: schemas.Tool, place: str) -> Tool:
    if wire.type != "function":
        raise NotServedError(
            f"{place}.type '{wire.type[:40]}' is not supported.", param=f"{place}.type", remedy="Send functions."
        )
    function = wire.function
    if function is None:
        raise InvalidRequestError(f"{place}.function is required.", param=f"{place}.function")
    if not _NAME.fullmatch(function.name):
        raise InvalidRequestError(
            f"{place}.function.name must be 1 to 128 letters, digits, dots, colons, dashes and underscores.",
            param=f"{place}.function.name",
        )
    schema = function.parameters or _NOTHING
    if schema.get("type", "object") != "object":
        raise InvalidRequestError(
            f"{place}.function.parameters must be the schema of an object.", param=f"{place}.function.parameters"
        )
    return Tool(function.name, function.description or "", schema, bool(function.strict))


def _choice(wire: str | ToolChoice | None, known: set[str]) -> tuple[str, frozenset[str] | None]:
    """Whether there must be a call, and of which tools alone, or None for all."""
    if wire is None or wire == "auto":
        return "auto", None
    if not known:
        raise InvalidRequestError("tool_choice needs tools.", param="tool_choice", remedy="Send tools.")
    if isinstance(wire, str):
        if wire not in _WORDS:
            raise InvalidRequestError(f"tool_choice must be {', '.join(_WORDS)} or an object.", param="tool_choice")
        return wire, None
    if wire.type == "function" and wire.function is not None:
        return "required", _named([wire.function.name], known)
    if wire.type == "allowed_tools" and wire.allowed_tools is not None:
        if wire.allowed_tools.mode not in ("auto", "required"):
            place = "tool_choice.allowed_tools.mode"
            raise InvalidRequestError(f"{place} must be auto or required.", param=place)
        names = [one.function.name if one.function is not None else "" for one in wire.allowed_tools.tools]
        return wire.allowed_tools.mode, _named(names, known)
    raise InvalidRequestError(
        "tool_choice must name a function, or allowed tools.",
        param="tool_choice",
        remedy='Send {"type": "function", "function": {"name": ...}}.',
    )


def _named(names: list[str], known: set[str]) -> frozenset[str]:
    for name in names:
        if name not in known:
            raise InvalidRequestError(f"tool_choice: there is no tool '{name[:64]}'.", param="tool_choice")
    if not names:
        raise InvalidRequestError("tool_choice allows no tool.", param="tool_choice", remedy="Send none.")
    return frozenset(names)
