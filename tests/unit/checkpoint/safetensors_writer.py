"""Writes tiny safetensors files and model folders for tests, well-formed or deliberately not."""

from __future__ import annotations

import json
import struct
from pathlib import Path

Entry = tuple[str, list[int], bytes]  # dtype, shape, data


def file_bytes(header: object, data: bytes) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def safetensors(tensors: dict[str, Entry]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return file_bytes(header, data)


def small() -> dict[str, Entry]:
    return {
        "model.embed.weight": ("BF16", [4, 2], bytes(range(16))),
        "model.norm.weight": ("F32", [2], struct.pack("<2f", 1.5, -2)),
        "model.up.weight": ("F16", [1, 2], struct.pack("<2e", 0.25, 8)),
        "model.attn.bias": ("BOOL", [3], b"\1\0\1"),
    }


def write_folder(folder: Path, config: object = None, **files: bytes | object) -> Path:
    """A model folder with config.json and `files` (`__` in a name stands for a dot; values are bytes or JSON)."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} if config is None else config))
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name.replace("__", ".")).write_bytes(raw)
    return folder
