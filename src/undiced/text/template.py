"""Chat templates: messages to the text a model was trained to continue. Compiled once, rendered with bounded work.

Renders what Hugging Face's `apply_chat_template` renders for the same template. Knows no tokenizer (see prompt.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from undiced.checkpoint.documents import read_object_if_there
from undiced.checkpoint.opening import read_if_there
from undiced.core.errors import CheckpointError, InvalidRequestError
from undiced.text.hf_folder import special_texts
from undiced.text.source import TextSource

if TYPE_CHECKING:
    import minijinja

FUEL = 200_000  # instructions of the template engine; the longest known template takes about 100 a message
MAX_SOURCE = 1 << 20
MAX_SPACING = 16  # ours: characters of indentation or of a separator in JSON; 4 is the most seen
_REMEDY = "Choose a model with a working chat template, or use /v1/completions."
_GENERATION = re.compile(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")
_ROLES = ("bos", "eos", "unknown", "padding")

_OURS = frozenset(
    ("messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now", "namespace", "range")
) | {"bos_token", "eos_token", "unk_token", "pad_token", "dict", "lipsum", "cycler", "joiner", "loop", "debug", "true"}

Message = Mapping[str, object]


class ChatTemplate:
    """One model's chat format.

    Attributes:
        source: the template as stored in the checkpoint.
        variables: names that the templates read and that a request may set.
        reads_documents: whether they read documents.
    """

    def __init__(
        self,
        source: str,
        tokens: Mapping[str, str] | None = None,
        *,
        tool_source: str | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """tokens: variables as bos_token and eos_token. tool_source: used instead of `source` when there are tools.

        Raises CheckpointError for a template with wrong syntax.
        """
        self.source = source
        self._tokens = dict(tokens or {})
        self._has_tool_source = tool_source is not None
        self._environment = _environment(now)
        for name, text in (("chat", source), ("tools", tool_source)):
            if text is not None:
                _compile(self._environment, name, text)
        names = ["chat"] + ["tools"] * self._has_tool_source
        read = {read for name in names for read in self._environment.undeclared_variables_in_template(name)}
        self.variables: frozenset[str] = frozenset(read - _OURS - self._tokens.keys())
        self.reads_documents = "documents" in read

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, object]] | None = None,
        documents: Sequence[Mapping[str, object]] | None = None,
        add_generation_prompt: bool = True,
        variables: Mapping[str, object] | None = None,
    ) -> str:
        """The prompt. variables: what else the template reads, as `enable_thinking`.

        Raises InvalidRequestError with the template's own words where it refuses the messages.
        """
        import minijinja

        context: dict[str, object] = {
            **(variables or {}),
            **self._tokens,
            "messages": messages,
            "tools": tools or None,
            "documents": documents or None,
            "add_generation_prompt": add_generation_prompt,
        }
        name = "tools" if tools and self._has_tool_source else "chat"
        try:
            text: str = self._environment.render_template(name, **context)
        except _Refused as refused:
            message = f"The chat template refuses these messages: {refused}."
            raise InvalidRequestError(message, param="messages", remedy="Change the roles or their order.") from None
        except minijinja.TemplateError as error:
            raise _failure(error) from None
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            raise _broken(str(error)) from None
        return text


def load_chat_template(checkpoint: TextSource, now: Callable[[], datetime] = datetime.now) -> ChatTemplate | None:
    """The checkpoint's template, or None for a base model. Raises CheckpointError for one that cannot be used."""
    if checkpoint.kind == "hf":
        sources = _folder_sources(checkpoint, read_object_if_there(checkpoint.path / "tokenizer_config.json"))
        texts: Mapping[str, object] = special_texts(checkpoint)
    else:
        prefix = "tokenizer.chat_template"
        metadata = checkpoint.metadata
        sources = {"default": metadata.get(prefix), "tool_use": metadata.get(f"{prefix}.tool_use")}
        texts = _gguf_tokens(metadata)
    source, tool_source = (
        s if isinstance(s, str) and s.strip() else None for s in (sources.get("default"), sources.get("tool_use"))
    )
    if source is None:
        return None
    tokens = {key: value for key, value in texts.items() if isinstance(value, str)}
    return ChatTemplate(source, tokens, tool_source=tool_source, now=now)


class _Refused(Exception):
    """The template called raise_exception."""


def _environment(now: Callable[[], datetime]) -> minijinja.Environment:
    import minijinja

    environment = minijinja.Environment(
        fuel=FUEL, debug=False, trim_blocks=True, lstrip_blocks=True, auto_escape_callback=lambda _: False
    )

    def raise_exception(message: object) -> None:
        raise _Refused(str(message))

    environment.add_global("raise_exception", raise_exception)
    environment.add_global("strftime_now", lambda form: now().strftime(form))
    environment.add_filter("tojson", _to_json)
    environment.add_test("iterable", lambda value: hasattr(value, "__iter__"))  # the engine's own says yes to none
    return environment


def _compile(environment: minijinja.Environment, name: str, source: str) -> None:
    """The `generation` tag of training tools means nothing here and becomes a block that is always taken."""
    import minijinja

    if len(source) > MAX_SOURCE:
        raise CheckpointError(f"The chat template has {len(source)} characters.", remedy=_REMEDY)
    plain = _GENERATION.sub(lambda m: f"{{%{m[1]} {'endif' if m[2] else 'if true'} {m[3]}%}}", source)
    try:
        environment.add_template(name, plain)
    except minijinja.TemplateError as error:
        raise CheckpointError(f"The chat template has wrong syntax: {error.message}.", remedy=_REMEDY) from None


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without HTML escapes, as templates of chat models expect it."""
    # The engine's fuel does not see what is spent here.
    marks = list(separators) if separators is not None else []
    if not (indent is None or 0 <= indent <= MAX_SPACING) or any(len(mark) > MAX_SPACING for mark in marks):
        raise ValueError(f"tojson takes at most {MAX_SPACING} characters of spacing")
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=tuple(separators) if separators is not None else None,  # type: ignore[arg-type]
        sort_keys=sort_keys,
    )


def _failure(error: minijinja.TemplateError) -> InvalidRequestError:
    if error.kind == "OutOfFuel":
        message = "The chat template takes too long for these messages."
        return InvalidRequestError(message, param="messages", remedy="Send fewer messages or tools.")
    return _broken(error.detail or error.message)


def _broken(detail: str) -> InvalidRequestError:
    message = f"The chat template cannot render these messages: {detail}."
    return InvalidRequestError(
        message, param="messages", remedy="Check that every message has the members the model expects."
    )


def _folder_sources(checkpoint: TextSource, config: Mapping[str, object]) -> dict[str, object]:
    text = read_if_there(checkpoint.path / "chat_template.jinja", MAX_SOURCE)
    if text is not None:
        return {"default": text.decode("utf-8-sig", "replace")}
    value = config.get("chat_template")
    if isinstance(value, list):
        return {str(entry.get("name")): entry.get("template") for entry in value if isinstance(entry, dict)}
    return {"default": value}


def _gguf_tokens(metadata: Mapping[str, object]) -> dict[str, object]:
    tokens = metadata.get("tokenizer.ggml.tokens")
    found: dict[str, object] = {}
    for role, name in zip(_ROLES, ("bos_token", "eos_token", "unk_token", "pad_token"), strict=True):
        index = metadata.get(f"tokenizer.ggml.{role}_token_id")
        if isinstance(index, int) and isinstance(tokens, (list, tuple)) and 0 <= index < len(tokens):
            found[name] = tokens[index]
    return found
