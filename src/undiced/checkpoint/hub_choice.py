"""Which files of a repository are needed: of a folder what its readers read, of several GGUF files the one that suits.

Pure: looks at names alone. Pickles, Python and everything else are never among them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from undiced.checkpoint.gguf_parts import part_names
from undiced.checkpoint.hub_ref import PREFIX, HubRef
from undiced.checkpoint.huggingface import CONFIG, INDEX
from undiced.core.errors import ModelNotFoundError, UnsupportedError
from undiced.core.quote import quoted

WEIGHTS = ".safetensors"
GGUF = ".gguf"
SMALL = (
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "README.md",  # its head names the license
    INDEX,
)
PREFERRED = (
    "Q4_K_M",
    "Q4_K_S",
    "Q5_K_M",
    "Q5_K_S",
    "Q4_1",
    "Q4_0",
    "IQ4_XS",
    "IQ4_NL",
    "MXFP4",
    "Q5_1",
    "Q5_0",
    "Q6_K",
    "Q8_0",
    "BF16",
    "F16",
    "F32",
    "Q3_K_L",
    "Q3_K_M",
    "Q3_K_S",
    "Q2_K",
)
_NAMED = 8  # files that a message names


@dataclass(frozen=True, slots=True)
class Choice:
    """What to bring. `file`: the GGUF file, of several parts the first, or "" for a folder, whose weights its index
    names once it is there.
    """

    small: tuple[str, ...]
    file: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The GGUF file, or all its parts; none for a folder."""
        return part_names(self.file) if self.file else ()


def choose(ref: HubRef, names: Collection[str]) -> Choice:
    """The files of a repository that `ref` means.

    Raises ModelNotFoundError where there is no such file, UnsupportedError where no file can be read.
    """
    if not ref.file and not ref.quantization and is_folder(names):
        return Choice(tuple(name for name in SMALL if name in names))
    return Choice(tuple(name for name in ("README.md",) if name in names), _gguf(ref, names))


def is_folder(names: Collection[str]) -> bool:
    """Whether a repository's root is a model folder that is read as one."""
    return CONFIG in names and (INDEX in names or any(_top(name, WEIGHTS) for name in names))


def _top(name: str, ending: str) -> bool:
    return name.endswith(ending) and "/" not in name


def _gguf(ref: HubRef, names: Collection[str]) -> str:
    if ref.file:
        if ref.file not in names:
            raise ModelNotFoundError(f"{ref.repo} has no file {quoted(ref.file)}.", remedy=_there_is(names))
        return _whole(ref, ref.file, names)
    files = sorted({part_names(name)[0] for name in names if name.endswith(GGUF) and "mmproj" not in name.lower()})
    if not files:
        raise UnsupportedError(
            f"{ref.repo} has neither safetensors with a config.json nor a GGUF file.",
            remedy="Look for a repository that has; pickled weights are never read.",
        )
    wanted = (ref.quantization.upper(),) if ref.quantization else PREFERRED
    found = next(filter(None, ([name for name in files if _is(name, each)] for each in wanted)), [])
    if not found and (len(files) > 1 or ref.quantization):
        raise ModelNotFoundError(f"{ref.repo} has no file of {' or '.join(wanted[:3])}.", remedy=_there_is(names))
    found = found or files
    if len(found) > 1:
        raise ModelNotFoundError(
            f"{ref.repo} has {len(found)} files that could be meant.",
            remedy=f"Name one as in {PREFIX}{ref.repo}/{found[0]}.",
        )
    return _whole(ref, found[0], names)


def _is(name: str, quantization: str) -> bool:
    """Whether a file's name says that quantization, as a word of its own."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(quantization)}(?![A-Za-z0-9_])", name, re.IGNORECASE) is not None


def _whole(ref: HubRef, name: str, names: Collection[str]) -> str:
    """The first part of a model of which all parts are there; the file itself if it is no part."""
    parts = part_names(name)
    if missing := [part for part in parts if part not in names]:
        raise UnsupportedError(
            f"{ref.repo} has no {quoted(missing[0])}, which {quoted(name)} belongs with.",
            remedy="Name another file of it, or tell whoever published it.",
        )
    return parts[0]


def _there_is(names: Collection[str]) -> str:
    files = sorted(name for name in names if name.endswith(GGUF))
    more = f", and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    shown = ", ".join(quoted(name) for name in files[:_NAMED])
    return f"It has {shown}{more}." if files else "It has no GGUF file; leave the file out."
