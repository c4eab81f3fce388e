"""Renderer: one model's templates, compiled and rendered by jinja2 as transformers sets it up. Bounds nothing.

What a template of an untrusted file may do to a process is bounded by the process it runs in: see sandbox.py.
"""

from __future__ import annotations

import encodings.unicode_escape  # noqa: F401  what is loaded late must be here: by then no file can be opened
import json
import pprint  # noqa: F401
import textwrap  # noqa: F401
import unicodedata  # noqa: F401
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import jinja2.constants
import jinja2.debug  # noqa: F401
from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from undiced.core.errors import CheckpointError, InvalidRequestError

OURS = frozenset({"messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now"})
_ASKING = frozenset({"defined", "undefined", "default", "d"})
_BY_ITSELF = frozenset({"loop", "caller", "varargs", "kwargs", "self"})
TEMPLATE_REMEDY = (
    "Put the publisher's template into the folder, as chat_template.jinja; convert a GGUF file anew with it."
)
_SHOWN = 500  # characters of a template's own words

Message = dict[str, object]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a template is given besides its own tokens.

    Attributes:
        variables: what else it reads, as `enable_thinking`.
        now: local time, for templates that write the date.
    """

    messages: Sequence[Message]
    tools: Sequence[object] = ()
    documents: Sequence[object] = ()
    add_generation_prompt: bool = True
    variables: Mapping[str, object] = field(default_factory=dict)
    now: datetime = field(default_factory=datetime.now)


class Renderer:
    """The templates of one model.

    Attributes:
        variables: names that the templates read and that a request may set.
        documents: whether they read documents.
    """

    def __init__(self, source: str, tool_source: str | None, tokens: Mapping[str, object]) -> None:
        """tool_source: used instead of `source` when there are tools. tokens: variables as bos_token.

        Raises CheckpointError for a template with wrong syntax.
        """
        self._environment = _environment()
        self._tokens = tokens
        self.sources = source + (tool_source or "")
        self.variables: set[str] = set()
        self.documents = False
        self._chat = self._compiled(source)
        self._tools = self._chat if tool_source is None else self._compiled(tool_source)

    def render(self, scene: Scene) -> str:
        """The prompt. Raises InvalidRequestError where the template refuses the messages or fails."""
        template = self._tools if scene.tools else self._chat
        try:
            return template.render(
                {
                    **scene.variables,
                    **self._tokens,
                    "messages": scene.messages,
                    "tools": scene.tools or None,
                    "documents": scene.documents or None,
                    "add_generation_prompt": scene.add_generation_prompt,
                    "raise_exception": _refuse,
                    "strftime_now": scene.now.strftime,
                }
            )
        except _Refused as refused:
            message = f"The chat template refuses these messages: {_words(refused)}."
            raise InvalidRequestError(message, param="messages", remedy="Change the roles or their order.") from None
        except Exception as error:
            message = f"The chat template cannot render these messages: {_words(error)}."
            remedy = "Check that every message has the members the model expects."
            raise InvalidRequestError(message, param="messages", remedy=remedy) from None

    def _compiled(self, source: str) -> Template:
        try:
            tree = self._environment.parse(source)
            names = _read(tree)
            self.documents |= "documents" in names
            self.variables |= names - OURS - set(self._environment.globals) - set(self._tokens)
            return self._environment.from_string(tree)
        except Exception as error:
            raise CheckpointError(
                f"The chat template has wrong syntax: {_words(error)}.", remedy=TEMPLATE_REMEDY
            ) from None


def _read(tree: nodes.Template) -> set[str]:
    """Names that a template reads and does not set itself, unless it asks first whether they are set."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for name in tree.find_all(nodes.Name):
        found[name.ctx == "load"].add(name.name)
    asking = [*tree.find_all(nodes.Test), *tree.find_all(nodes.Filter)]
    asked = {ask.node.name for ask in asking if ask.name in _ASKING and isinstance(ask.node, nodes.Name)}
    own = found[False] | {macro.name for macro in tree.find_all(nodes.Macro)} | _BY_ITSELF
    return (found[True] - own) | asked


class _Refused(TemplateError):
    """The template called raise_exception."""


def _refuse(message: object) -> None:
    raise _Refused(str(message))


def _words(error: Exception) -> str:
    """An error in words, on one line."""
    kinds = {RecursionError: "it is nested too deeply", MemoryError: "it needs too much memory"}
    text = next((words for kind, words in kinds.items() if isinstance(error, kind)), str(error))
    return " ".join((text or type(error).__name__).split())[:_SHOWN].rstrip(".")


class _Generation(Extension):
    """`{% generation %}`: marks for training tools what the assistant said. Here, what it encloses."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_enclosed"), [], [], body).set_lineno(line)

    def _enclosed(self, caller: Callable[[], str]) -> str:
        return caller()


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    return environment


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without HTML escapes, as templates of chat models expect it."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
