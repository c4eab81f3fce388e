"""Chat templates: where published checkpoints keep them and the tokens that they name. Renders nothing (see prompt.py).

Folders: chat_template.jinja and additional_chat_templates/, else the entries of tokenizer_config.json,
chat_template.json or processor_config.json; tokens in tokenizer_config.json and special_tokens_map.json. GGUF:
`tokenizer.chat_template`, and `tokenizer.chat_template.NAME` for further ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field

from undiced.core.opening import read_if_there
from undiced.text.source import TextSource
from undiced.text.vocabulary import TOKENS, default_id, token_texts

MAX_SOURCE = 1 << 20  # ours: characters; the longest template seen has 60,000
_MAX_NAMED = 16
_PREFIX = "tokenizer.chat_template"
_JSON_FILES = ("tokenizer_config.json", "chat_template.json", "processor_config.json")
_GGUF_TOKENS = {
    "bos": "bos_token",
    "eos": "eos_token",
    "unknown": "unk_token",
    "padding": "pad_token",
    "seperator": "sep_token",  # sic, in the format's specification
    "cls": "cls_token",
    "mask": "mask_token",
}


class ChatTemplate(Struct, frozen=True):
    """One model's chat format, as its files have it.

    Attributes:
        source: the template. tool_source: used instead when there are tools, or None.
        tokens: variables of the templates, as bos_token.
        problem: why there is no usable template although the files have one; empty if there is.
    """

    source: str
    tool_source: str | None = None
    tokens: Mapping[str, object] = field(default_factory=dict)
    problem: str = ""


def load_chat_template(checkpoint: TextSource) -> ChatTemplate | None:
    """The checkpoint's template, or None for a base model.

    Raises CheckpointError for a damaged file; a template that cannot be used is told in `problem`.
    """
    if checkpoint.kind == "hf":
        from undiced.core.documents import read_object_if_there
        from undiced.text.hf_folder import special_texts

        documents = {name: read_object_if_there(checkpoint.path / name) for name in _JSON_FILES}
        tokens = _tokens(documents["tokenizer_config.json"]) | special_texts(checkpoint)
        sources = _files(checkpoint.path) or _first(documents)
    else:
        tokens = _gguf_tokens(checkpoint.metadata)
        sources = _gguf_sources(checkpoint.metadata)
    return _template(sources, tokens)


def _template(sources: Mapping[str, str], tokens: Mapping[str, object]) -> ChatTemplate | None:
    if not sources:
        return None
    default = sources.get("default")
    if default is None:
        names = ", ".join(sorted(sources)[:_MAX_NAMED])[:200]
        return ChatTemplate("", tokens=tokens, problem=f"There is no default among the chat templates ({names}).")
    tools = sources.get("tool_use")
    for text in (default, tools or ""):
        if len(text) > MAX_SOURCE:
            problem = f"The chat template has {len(text)} characters; {MAX_SOURCE} are allowed."
            return ChatTemplate("", tokens=tokens, problem=problem)
    return ChatTemplate(default, tools, tokens)


def _files(folder: Path) -> dict[str, str]:
    """Templates in files of their own. Raises CheckpointError for one that is no readable file."""
    paths = {"default": folder / "chat_template.jinja"}
    paths["tool_use"] = folder / "additional_chat_templates" / "tool_use.jinja"
    found = {name: read_if_there(path, MAX_SOURCE) for name, path in paths.items()}
    texts = {name: data.decode("utf-8-sig", "replace") for name, data in found.items() if data is not None}
    return texts if "default" in texts else {}


def _first(documents: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """The templates of the first document that has any: a text, or several with names."""
    return next((found for document in documents.values() if (found := _named(document.get("chat_template")))), {})


def _named(value: object) -> dict[str, str]:
    if isinstance(value, list):
        value = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)}
    entries = value if isinstance(value, dict) else {"default": value}
    return {str(name): text for name, text in entries.items() if isinstance(text, str) and text.strip()}


def _gguf_sources(metadata: Mapping[str, object]) -> dict[str, str]:
    sources = {"default": metadata.get(_PREFIX)}
    sources |= {key.removeprefix(_PREFIX + "."): metadata[key] for key in metadata if key.startswith(_PREFIX + ".")}
    return _named(sources)


def _tokens(config: Mapping[str, object]) -> dict[str, object]:
    """Every entry of tokenizer_config.json that names a token, and the list of additional ones."""
    found: dict[str, object] = {}
    for key, value in config.items():
        if key.endswith("_token") and (text := _spelled(value)) is not None:
            found[key] = text
    extra = config.get("extra_special_tokens")
    if isinstance(extra, dict):
        found |= {str(key): text for key, value in extra.items() if (text := _spelled(value)) is not None}
    more = config.get("additional_special_tokens")
    if isinstance(more, list):
        found["additional_special_tokens"] = list(_spellings(more))
    return found


def _spellings(values: list[object]) -> Iterator[str]:
    yield from (text for value in values if (text := _spelled(value)) is not None)


def _spelled(value: object) -> str | None:
    """A token's text: written as such, or in an object with more about it."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _gguf_tokens(metadata: Mapping[str, object]) -> dict[str, object]:
    """Texts of tokens with a role; a role that the file leaves open is the tokenizer's default, as in `vocabulary`."""
    found: dict[str, object] = {}
    if TOKENS not in metadata:
        return found
    tokens, kinds = token_texts(metadata), metadata.get("tokenizer.ggml.token_type")
    for role, name in _GGUF_TOKENS.items():
        index = metadata.get(f"tokenizer.ggml.{role}_token_id")
        if type(index) is not int or not 0 <= index < len(tokens):
            index = default_id(metadata, role, kinds if isinstance(kinds, (list, tuple)) else [0] * len(tokens))
        if index is not None and index < len(tokens):
            found[name] = tokens[index]
    return found
