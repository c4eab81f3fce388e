"""How a model of the hub is named: `org/name`, `hf:org/name`, `hf:org/name/file.gguf`; `:QUANT` and `@revision` behind.

Knows the grammar alone; asks neither the hub nor the disk.
"""

from __future__ import annotations

import re

from msgspec import Struct

from undiced.core.errors import InvalidRequestError, ModelNotFoundError
from undiced.core.quote import quoted

PREFIX = "hf:"
MAIN = "main"
COMMIT = re.compile(r"[0-9a-f]{40}")
FORMS = "org/name, org/name:Q8_0, hf:org/name/file.gguf, each with @revision behind it if need be"
_PART = r"[A-Za-z0-9][\w.-]{0,95}"
_REF = re.compile(
    rf"(?P<repo>{_PART}/{_PART})(?P<file>(?:/[^/@:]{{1,200}}){{1,8}})?"
    r"(?::(?P<quantization>[\w-]{1,40}))?(?:@(?P<revision>[\w./-]{1,200}))?",
    re.ASCII,
)
_FILES = (".gguf", ".safetensors", ".json", ".bin", ".pt", ".pth", ".ckpt", ".toml", ".wafer", ".und")


class HubRef(Struct, frozen=True):
    """A model of the hub.

    Attributes:
        repo: `org/name`.
        file: path of a GGUF file inside, or "".
        quantization: which of several GGUF files, as in Q8_0, or "".
        revision: a branch, a tag or a commit.
    """

    repo: str
    file: str = ""
    quantization: str = ""
    revision: str = MAIN

    def __str__(self) -> str:
        named = f"{PREFIX}{self.repo}/{self.file}" if self.file else self.repo
        quantization = f":{self.quantization}" if self.quantization else ""
        return named + quantization + ("" if self.revision == MAIN else f"@{self.revision}")


def hub_ref(text: str) -> HubRef | None:
    """The model of the hub that a text names; None for what is a name or a path of another kind.

    Raises ModelNotFoundError for a text that begins with `hf:` and names nothing.
    """
    prefixed = text.startswith(PREFIX)
    found = _REF.fullmatch(text.removeprefix(PREFIX).removeprefix("//") if prefixed else text)
    if not prefixed and (found is None or found["file"] or found["repo"].lower().endswith(_FILES)):
        return None
    file = (found["file"] or "").removeprefix("/") if found else ""
    if found is None or not _plain(file) or not _plain(found["revision"] or MAIN):
        raise ModelNotFoundError(f"{quoted(text)} names no model of the hub.", remedy=f"Write {FORMS}.")
    if file and not file.endswith(".gguf"):
        raise ModelNotFoundError(f"{quoted(file)} is no GGUF file.", remedy=f"Write {FORMS}.")
    return HubRef(found["repo"], file, found["quantization"] or "", found["revision"] or MAIN)


def at_revision(text: str, revision: str | None) -> str:
    """The same model at a revision, as `--revision` says it. Raises InvalidRequestError for a model that has none."""
    if revision is None:
        return text
    if hub_ref(text) is None:
        raise InvalidRequestError(
            f"{quoted(text)} has no revisions.", remedy="Models from the hub have them; leave out --revision."
        )
    name, _, own = text.partition("@")
    if own not in ("", revision):
        raise InvalidRequestError(f"{quoted(text)} names a revision already.", remedy="Leave out one of the two.")
    return f"{name}@{revision}"


def _plain(path: str) -> bool:
    """Whether a path leads nowhere but down."""
    return (
        path.isprintable() and "\\" not in path and not any(part in ("", ".", "..") for part in path.split("/") if path)
    )
