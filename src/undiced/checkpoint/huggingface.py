"""Opens Hugging Face model folders: config.json and safetensors shards.

Knows the folder's layout and its bounds; knows no model family. Never reads pickle and never runs code from the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from undiced.checkpoint.documents import read_object
from undiced.checkpoint.quote import quoted
from undiced.checkpoint.safetensors import SafetensorsFile
from undiced.checkpoint.tensor import TensorInfo
from undiced.core.errors import CheckpointError, UnsupportedError

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MAX_SHARDS = 512  # ours: every mapped shard holds a file descriptor; the largest model seen has 163
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
AGAIN = "Download the model again."
CONVERT = "Save the model with save_pretrained(..., safe_serialization=True) and use that folder."


class HfCheckpoint:
    """An open Hugging Face folder; see `contract.Checkpoint` for the members."""

    kind: Literal["hf"] = "hf"

    def __init__(self, path: str | Path, *, name: str | None = None) -> None:
        """Open and check a folder.

        Raises:
            CheckpointError: files missing, damaged, contradictory or hostile.
            UnsupportedError: pickled weights, or weights quantized in a scheme that we do not read.
        """
        self.path = Path(path)
        self.name = name or self.path.resolve().name
        present = _list(self.path)
        if CONFIG not in present:
            raise CheckpointError(
                f"The folder {self.path} has no {CONFIG}.",
                remedy="Name a Hugging Face model folder, or a .gguf file itself.",
            )
        config, self._config_bytes = read_object(self.path / CONFIG)
        _refuse_quantized(config, self.path.name)
        self.metadata: Mapping[str, object] = MappingProxyType(config)
        self._shards: list[SafetensorsFile] = []
        self._home: dict[str, SafetensorsFile] = {}
        try:
            self.tensors: Mapping[str, TensorInfo] = MappingProxyType(self._open_shards(present))
        except BaseException:
            self.close()
            raise

    def _open_shards(self, present: frozenset[str]) -> dict[str, TensorInfo]:
        files, weight_map = _shard_names(self.path, present)
        infos: dict[str, TensorInfo] = {}
        for file in files:
            shard = SafetensorsFile(self.path / file)
            self._shards.append(shard)
            for name in (*shard.tensors, *shard.buffers):
                if name in self._home:
                    raise CheckpointError(
                        f"{self.path.name}: the tensor {quoted(name)} is in two shards.", remedy=AGAIN
                    )
                self._home[name] = shard
            infos |= shard.tensors
        for name, file in weight_map.items():
            if name not in self._home or self._home[name].file.path.name != file:
                raise CheckpointError(
                    f"{self.path.name}: {INDEX} expects {quoted(name)} in {quoted(file)}.", remedy=AGAIN
                )
        return infos

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 over config.json, all headers, sizes and samples of the data."""
        digest = hashlib.sha256(b"hf" + hashlib.sha256(self._config_bytes).digest())
        for shard in self._shards:
            digest.update(shard.fingerprint())
        return digest.hexdigest()

    def raw(self, name: str) -> memoryview:
        """Read-only bytes of a tensor as stored."""
        shard = self._home.get(name)
        if shard is None:
            raise CheckpointError(
                f"{self.path.name} has no tensor {quoted(name)}.", remedy="The model folder is incomplete."
            )
        if name in shard.buffers:
            raise UnsupportedError(
                f"{self.path.name}: the tensor {quoted(name)} has the dtype {quoted(shard.buffers[name])}."
            )
        info = shard.tensors[name]
        return shard.file.view(info.offset, info.nbytes)

    def close(self) -> None:
        """Let go of the files; views handed out stay valid until dropped."""
        for shard in self._shards:
            shard.file.close()


def _list(folder: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise CheckpointError(f"Cannot list {folder}: {error.strerror}.", remedy="Check its permissions.") from error


def _refuse_quantized(config: dict[str, object], name: str) -> None:
    scheme = config.get("quantization_config")
    if isinstance(scheme, dict):
        method = scheme.get("quant_method", "unknown")
        raise UnsupportedError(
            f"{name} is quantized by the method {quoted(method)}.",
            remedy="Use the unquantized model, or a GGUF file of it.",
        )


def _shard_names(folder: Path, present: frozenset[str]) -> tuple[list[str], dict[str, str]]:
    """-> (shard file names, the index: tensor name to file name; empty for a single file)."""
    if INDEX in present:
        weight_map = read_object(folder / INDEX)[0].get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f"{INDEX} has no weight_map.", remedy=AGAIN)
        checked = {name: _plain_name(file) for name, file in weight_map.items()}
        files = sorted(set(checked.values()))
        if len(files) > MAX_SHARDS:
            raise CheckpointError(
                f"{INDEX} names {len(files)} shards, more than the {MAX_SHARDS} allowed.", remedy="Merge the shards."
            )
        return files, checked
    if SINGLE in present:
        return [SINGLE], {}
    if any(name.endswith(PICKLES) for name in present):
        raise UnsupportedError(
            f"{folder.name} has pickled weights only, which can run code when loaded.", remedy=CONVERT
        )
    raise CheckpointError(f"{folder.name} has neither {INDEX} nor {SINGLE}.", remedy=AGAIN)


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
