"""Tools of the Messages API as functions of a chat request. Knows no schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from undiced.api import schemas
from undiced.api.errors import NotServedError
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.api.anthropic.schemas import ClientTool, ToolUse

_DATED = re.compile(r"[a-z_]+_\d{8}")  # types of tools that a service runs, or whose schema only its models know
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def functions(wire: Sequence[ClientTool], names: dict[str, str]) -> tuple[list[schemas.Tool], tuple[str, ...]]:
    """The functions, and the names of tools that were skipped. names: gets the places of the functions.

    Raises:
        InvalidRequestError: a tool without a name. NotServedError: a tool of an unknown type.
    """
    found: list[schemas.Tool] = []
    skipped: list[str] = []
    for at, tool in enumerate(wire):
        place = f"tools[{at}]"
        if tool.type is not None and _DATED.fullmatch(tool.type):
            skipped.append(f"{place}.{tool.type}")
            continue
        if tool.type not in (None, "custom"):
            raise NotServedError(
                f"{place}.type '{tool.type[:40]}' is not supported.", param=f"{place}.type", remedy="Send custom tools."
            )
        for needed, value in (("name", tool.name), ("input_schema", tool.input_schema)):
            if value is None:
                raise InvalidRequestError(f"{place}.{needed} is required.", param=f"{place}.{needed}")
        chat = f"tools[{len(found)}]"
        names |= {chat: place, f"{chat}.function": place, f"{chat}.function.parameters": f"{place}.input_schema"}
        function = schemas.ToolFunction(tool.name or "", tool.description, tool.input_schema, tool.strict)
        found.append(schemas.Tool(function=function))
    return found, tuple(skipped)


def choice(wire: ToolUse | None) -> str | schemas.ToolChoice | None:
    """Which functions may be called.

    Raises InvalidRequestError for an unknown word, or a tool without a name.
    """
    if wire is None:
        return None
    if wire.type == "tool":
        if wire.name is None:
            raise InvalidRequestError("tool_choice.name is required.", param="tool_choice.name")
        return schemas.ToolChoice(function=schemas.ChosenFunction(wire.name))
    if wire.type not in _CHOICES:
        words = ", ".join([*_CHOICES, "tool"])
        raise InvalidRequestError(f"tool_choice.type must be one of {words}.", param="tool_choice.type")
    if wire.name is not None:
        raise InvalidRequestError(
            "tool_choice.name belongs to the type tool.", param="tool_choice.name", remedy="Leave it out."
        )
    return _CHOICES[wire.type]
