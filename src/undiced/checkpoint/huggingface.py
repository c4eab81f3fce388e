"""Opens Hugging Face model folders: config.json and safetensors shards.

Knows the folder's layout and its bounds; knows no model family. Never reads pickle and never runs code from the folder.
What a quantized folder's tensors mean together is the business of `schemes`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from undiced.checkpoint.pickled import CONVERT, PICKLES
from undiced.checkpoint.safetensors import DTYPES, SafetensorsFile
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.documents import read_object
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.quote import file_name, quoted

if TYPE_CHECKING:
    from undiced.checkpoint.schemes import Assembly

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MAX_SHARDS = 512  # ours: every mapped shard holds a file descriptor; the largest model seen has 163
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")
SCHEMES = ("quantization_config", "compression_config")
AGAIN = "Download the model again."


class HfCheckpoint:
    """An open Hugging Face folder; see `contract.Checkpoint` for the members."""

    kind: Literal["hf"] = "hf"

    def __init__(self, path: str | Path, *, name: str | None = None) -> None:
        """Open and check a folder.

        Raises:
            CheckpointError: files missing, damaged, contradictory or hostile.
            UnsupportedError: pickled weights, or weights quantized by a method that we do not read.
        """
        self.path = Path(path)
        self.name = name or folder_name(self.path)
        present = _list(self.path)
        if CONFIG not in present:
            raise CheckpointError(
                f"The folder {self.name} has no {CONFIG}.",
                remedy="Name a Hugging Face model folder, or a .gguf file itself.",
            )
        config, self._config_bytes = read_object(self.path / CONFIG)
        self.metadata: Mapping[str, object] = MappingProxyType(config)
        self._shards: list[SafetensorsFile] = []
        self._home: dict[str, SafetensorsFile] = {}
        self._assembly: Assembly | None = None
        self._last: tuple[str, memoryview] = ("", memoryview(b""))
        try:
            infos = self._open_shards(present)
            if (settings := _quantization(config)) is not None:
                self._assembly = self._assembled(*settings)
                infos = {name: info for name, info in infos.items() if name not in self._assembly.taken}
                infos |= {name: info for name, (info, _) in self._assembly.tensors.items()}
            self.tensors: Mapping[str, TensorInfo] = MappingProxyType(infos)
        except BaseException:
            self.close()
            raise

    def _open_shards(self, present: frozenset[str]) -> dict[str, TensorInfo]:
        files, weight_map = shard_names(self.path, self.name, present)
        infos: dict[str, TensorInfo] = {}
        if missing := [file for file in files if file not in present]:
            raise CheckpointError(
                f"{self.name} has no {quoted(missing[0])}, which its index names.",
                remedy="The folder is incomplete; fetch it again.",
            )
        for file in files:
            shard = SafetensorsFile(self.path / file)
            self._shards.append(shard)
            for name in (*shard.tensors, *shard.buffers):
                if name in self._home:
                    raise CheckpointError(f"{self.name}: the tensor {quoted(name)} is in two shards.", remedy=AGAIN)
                self._home[name] = shard
            infos |= shard.tensors
        for name, file in weight_map.items():
            if name not in self._home or self._home[name].file.path.name != file:
                raise CheckpointError(f"{self.name}: {INDEX} expects {quoted(name)} in {quoted(file)}.", remedy=AGAIN)
        return infos

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 over config.json, all headers, sizes and samples of the data."""
        digest = hashlib.sha256(b"hf" + hashlib.sha256(self._config_bytes).digest())
        for shard in self._shards:
            digest.update(shard.fingerprint())
        return digest.hexdigest()

    @property
    def unread(self) -> Mapping[str, str]:
        """Integers, truths, and parts that make up no weight."""
        taken: set[str] = set() if self._assembly is None else self._assembly.taken
        return {name: part.dtype for shard in self._shards for name, part in shard.buffers.items() if name not in taken}

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the folder's way of quantization is done differently here."""
        return () if self._assembly is None else tuple(self._assembly.notes)

    def _assembled(self, method: object, settings: dict[str, object] | None) -> Assembly:
        from undiced.checkpoint.schemes import READERS, Files, Settings
        from undiced.checkpoint.schemes.files import Stored

        reader = READERS.get(method) if isinstance(method, str) else None
        if reader is None or settings is None:
            raise UnsupportedError(
                f"{self.name} is quantized by the method {quoted(method)}.",
                remedy=f"Known: {', '.join(READERS)}. Use the unquantized model, or a GGUF file of it.",
            )
        stored: dict[str, Stored] = {}
        for shard in self._shards:
            dense = {name: (info.format, info.shape, info.nbytes) for name, info in shard.tensors.items()}
            other = {name: (part.dtype, part.shape, part.nbytes) for name, part in shard.buffers.items()}
            stored |= {name: Stored(*facts) for name, facts in (dense | other).items()}
        found = reader(Settings(settings, self.name), Files(self.name, stored, self._view))
        if clash := next((name for name in found.tensors if name in stored and name not in found.taken), ""):
            raise CheckpointError(f"{self.name}: the weight {quoted(clash)} is there twice.", remedy=AGAIN)
        return found

    def raw(self, name: str) -> memoryview:
        """Read-only bytes of a tensor. What several tensors of the file make up is put together; the last is kept."""
        if self._assembly is not None and name in self._assembly.tensors:
            if self._last[0] != name:
                self._last = ("", memoryview(b""))  # frees the one before
                made = self._assembly.tensors[name][1]()
                made.flags.writeable = False
                self._last = (name, made.data)
            return self._last[1]
        home = self._home.get(name)
        if home is not None and name in home.buffers:
            raise UnsupportedError(
                f"{self.name}: the tensor {quoted(name)} has the dtype {quoted(home.buffers[name].dtype)}.",
                remedy=f"Weights that are read: {', '.join(DTYPES)}; save the model in one of these.",
            )
        return self._view(name)

    def _view(self, name: str) -> memoryview:
        """Bytes as they are stored."""
        shard = self._home.get(name)
        if shard is None:
            raise CheckpointError(
                f"{self.name} has no tensor {quoted(name)}.", remedy="The folder is incomplete; fetch it again."
            )
        info = shard.tensors.get(name) or shard.buffers[name]
        return shard.file.view(info.offset, info.nbytes)

    def forget(self) -> None:
        """Give back the memory that reading tensors took."""
        self._last = ("", memoryview(b""))
        for shard in self._shards:
            shard.file.forget()

    def close(self) -> None:
        """Let go of the files; views handed out stay valid until dropped."""
        for shard in self._shards:
            shard.file.close()


def folder_name(path: Path) -> str:
    """A model's name from its folder: the folder's own, or the repository's for a snapshot in the hub's cache.

    The cache keeps `models--<owner>--<name>/snapshots/<commit>`; a commit's hash is no name.
    """
    whole = path.resolve()
    if whole.parent.name == "snapshots" and whole.parents[1].name.startswith("models--"):
        return file_name(Path(whole.parents[1].name.rsplit("--", 1)[-1]))
    return file_name(whole)


def _list(folder: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise CheckpointError(
            f"Cannot list {file_name(folder)}: {error.strerror}.", remedy="Check its permissions."
        ) from error


def _quantization(config: dict[str, object]) -> tuple[object, dict[str, object] | None] | None:
    """The method that a configuration states, inside or outside of its text part, and what it says of it."""
    inner = config.get("text_config")
    for part in (config, inner if isinstance(inner, dict) else {}):
        for key in SCHEMES:
            scheme = part.get(key)
            if scheme is not None:
                return (scheme.get("quant_method", "unknown"), scheme) if isinstance(scheme, dict) else (scheme, None)
    return None


def shard_names(folder: Path, name: str, present: frozenset[str]) -> tuple[list[str], dict[str, str]]:
    """-> (shard file names, the index: tensor name to file name; empty where there is none)."""
    if INDEX in present:
        weight_map = read_object(folder / INDEX)[0].get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f"{INDEX} has no weight_map.", remedy=AGAIN)
        checked = {name: _plain_name(file) for name, file in weight_map.items()}
        return _few(sorted(set(checked.values()))), checked
    if SINGLE in present:
        return [SINGLE], {}
    found = sorted(file for file in present if file.endswith(".safetensors") and _stays_inside(file))
    if shards := [file for file in found if SHARD.fullmatch(file)]:
        return _few(_whole_set(shards, name)), {}
    if len(found) == 1:
        return found, {}
    if not found and any(name.endswith(PICKLES) for name in present):
        raise UnsupportedError(f"{name} has pickled weights only, which can run code when loaded.", remedy=CONVERT)
    raise CheckpointError(
        f"{name} has neither {INDEX} nor {SINGLE}, and {len(found)} other files of weights.", remedy=AGAIN
    )


def _whole_set(shards: list[str], name: str) -> list[str]:
    """The shards of a folder without an index, if they are all of one model's: 1 to n of n under one name."""
    parts = [match.groups() for file in shards if (match := SHARD.fullmatch(file))]
    stem, _, count = parts[0]
    expected = [f"{stem}-{part:05}-of-{count}.safetensors" for part in range(1, min(int(count), MAX_SHARDS) + 1)]
    missing = sorted(set(expected) - set(shards))
    if missing:
        raise CheckpointError(f"{name} lacks the shard {quoted(missing[0])}, and has no {INDEX}.", remedy=AGAIN)
    if len(shards) != int(count):
        raise CheckpointError(
            f"{name} has shards of several models and no {INDEX} that says which.",
            remedy="Keep one model in a folder.",
        )
    return expected


def _few(files: list[str]) -> list[str]:
    if len(files) > MAX_SHARDS:
        raise CheckpointError(
            f"{len(files)} shards are more than the {MAX_SHARDS} allowed.", remedy="Merge the shards."
        )
    return files


def _plain_name(file: object) -> str:
    """A shard's file name, which may not lead out of the folder."""
    if isinstance(file, str) and file.endswith(PICKLES):
        raise UnsupportedError(f"{INDEX} names the pickled shard {quoted(file)}.", remedy=CONVERT)
    if not isinstance(file, str) or not file.endswith(".safetensors") or not _stays_inside(file):
        raise CheckpointError(f"{INDEX} names {quoted(file)}, which is no shard of this folder.", remedy=AGAIN)
    return file


def _stays_inside(file: str) -> bool:
    """Whether a name means an entry of the folder itself. Links inside it are fine: download caches use them."""
    return file.isprintable() and "/" not in file and "\\" not in file
