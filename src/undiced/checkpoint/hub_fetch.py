"""Fetches a model from the hub into the cache that other programs share, through huggingface_hub.

Knows what is asked, what is brought, and how it is checked; what is in the files is the readers' business. A file has
its place only once its size and checksum are right; what an interrupted fetch left is gone on with.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from undiced.checkpoint.cache import exclusive, way_out
from undiced.checkpoint.hub_cache import cached, cached_configuration, lock_folder, storage
from undiced.checkpoint.hub_choice import WEIGHTS, choose
from undiced.checkpoint.hub_client import HubFile, Listing, Stream, ask, bring
from undiced.checkpoint.hub_ref import HubRef
from undiced.checkpoint.huggingface import CONFIG, shard_names
from undiced.core.errors import FetchError
from undiced.core.quote import quoted

Progress = Callable[[int, int], None]
TRUE = ("1", "ON", "YES", "TRUE")
PART = ".undiced.incomplete"


def hub_offline() -> bool:
    """Whether the user forbids to ask the hub (HF_HUB_OFFLINE)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in TRUE


def pull_from_hub(
    ref: HubRef, progress: Progress | None = None, *, offline: bool = False, refresh: bool = False
) -> Path:
    """The folder or file of a model of the hub, fetched first unless it is cached.

    Args:
        progress: called with bytes done and bytes in all; never called for a cached model.
        offline: refuse to fetch.
        refresh: ask the hub for a newer commit even if the model is cached.

    Raises ModelNotFoundError, UnsupportedError or FetchError, each with a remedy.
    """
    offline = offline or hub_offline()
    if (not refresh or offline) and (path := cached(ref)):
        return path
    if offline:
        raise FetchError(
            f"{ref} is not in the hub's cache, and nothing may be fetched.",
            remedy=f"Unset HF_HUB_OFFLINE, or run `undiced pull {ref}` with a network first.",
        )
    listing = ask(ref)
    with _locked(ref):
        return _assemble(ref, listing, progress or (lambda done, total: None))


def sizes_from_hub(ref: HubRef, progress: Progress | None = None) -> Path:
    """What a model's sizes are read from: a folder with its config.json at least, or its GGUF file. Raises as above."""
    if path := cached(ref) or cached_configuration(ref):
        return path
    if not hub_offline():
        listing = ask(ref)
        if not choose(ref, listing.files).file:
            with _locked(ref):
                snapshot = storage(ref.repo) / "snapshots" / listing.commit
                _place(ref, listing, listing.files[CONFIG], snapshot, _Meter(lambda done, total: None, 0))
                _remember(storage(ref.repo), ref.revision, listing.commit)
            return snapshot
    return pull_from_hub(ref, progress)


@contextmanager
def _locked(ref: HubRef) -> Iterator[None]:
    """Hold a repository's lock; what the disk refuses is said."""
    try:
        with exclusive(lock_folder(ref.repo)):
            yield
    except OSError as error:
        raise FetchError(
            f"Cannot write {ref} into the hub's cache: {error.strerror or error}.",
            remedy=f"{way_out(error)}, or set HF_HOME to another folder.",
        ) from error


@dataclass(slots=True)
class _Meter:
    """Bytes of files that are done, and of all."""

    progress: Progress
    total: int
    done: int = 0

    def add(self, nbytes: int) -> None:
        self.done += nbytes
        self.progress(self.done, max(self.total, self.done))

    def within(self, nbytes: int) -> None:
        self.progress(self.done + nbytes, max(self.total, self.done + nbytes))


def _assemble(ref: HubRef, listing: Listing, progress: Progress) -> Path:
    """Small files first: once the weights are there, the model is whole."""
    folder, files = storage(ref.repo), listing.files
    snapshot = folder / "snapshots" / listing.commit
    choice = choose(ref, files)
    weights = list(choice.files) or [name for name in files if name.endswith(WEIGHTS) and "/" not in name]
    meter = _Meter(progress, _nbytes(files, (*choice.small, *weights)))
    for name in choice.small:
        _place(ref, listing, files[name], snapshot, meter)
    if not choice.file:
        weights, _ = shard_names(snapshot, ref.repo, frozenset(files))
        missing = [name for name in weights if name not in files]
        if missing:
            raise FetchError(
                f"{ref.repo} has no {quoted(missing[0])}, which its index names.",
                remedy="Tell whoever published it, or name another revision.",
            )
        meter.total = _nbytes(files, (*choice.small, *weights))
    for name in weights:
        _place(ref, listing, files[name], snapshot, meter)
    _remember(folder, ref.revision, listing.commit)
    return snapshot / choice.file if choice.file else snapshot


def _nbytes(files: Mapping[str, HubFile], names: tuple[str, ...]) -> int:
    return sum(files[name].nbytes for name in names)


def _place(ref: HubRef, listing: Listing, file: HubFile, snapshot: Path, meter: _Meter) -> None:
    """Bring a file among the blobs unless it is there, and link it into the snapshot."""
    link = snapshot / file.name
    blob = storage(ref.repo) / "blobs" / file.checksum
    if not (blob.is_file() and blob.stat().st_size == file.nbytes):
        blob.parent.mkdir(parents=True, exist_ok=True)
        _download(ref, listing, file, blob, meter)
    meter.add(file.nbytes)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))


def _download(ref: HubRef, listing: Listing, file: HubFile, blob: Path, meter: _Meter) -> None:
    part = blob.with_name(blob.name + PART)
    with part.open("ab") as out:
        if out.tell() > file.nbytes:
            out.truncate(0)
        out.seek(0, os.SEEK_END)
        if out.tell() < file.nbytes:
            bring(ref, listing.commit, file, Stream(out, file, meter.within))
        out.flush()
        os.fsync(out.fileno())
    found = _checksum(part, file)
    if found != file.checksum:
        part.unlink()
        raise FetchError(
            f"{quoted(file.name)} of {ref.repo} has the checksum {found}, the hub says {file.checksum}.",
            remedy="Fetch it again; if it stays so, something between here and the hub changes files.",
        )
    part.replace(blob)


def _checksum(path: Path, file: HubFile) -> str:
    """SHA-256 of a large file; a small one has git's: SHA-1 behind a head with the size."""
    with path.open("rb") as data:
        if file.is_large:
            return hashlib.file_digest(data, "sha256").hexdigest()
        digest = hashlib.sha1(b"blob %d\0" % file.nbytes, usedforsecurity=False)
        return _all_of(data, digest)


def _all_of(data: IO[bytes], digest: hashlib._Hash) -> str:
    while chunk := data.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _remember(folder: Path, revision: str, commit: str) -> None:
    """Which commit a branch or tag led to."""
    if revision == commit:
        return
    path = folder / "refs" / revision
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + PART)
    fresh.write_text(commit)
    fresh.replace(path)
