"""The hub's cache on this disk, which other programs share: blobs by checksum, snapshots of links, refs to commits.

Knows its layout and the variables that move it (HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME). Needs neither library nor
network.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from undiced.checkpoint.cache import exclusive
from undiced.checkpoint.gguf_parts import part_names
from undiced.checkpoint.hub_choice import GGUF, SMALL, WEIGHTS, choose, is_folder
from undiced.checkpoint.hub_ref import COMMIT, HubRef
from undiced.checkpoint.huggingface import CONFIG, shard_names
from undiced.core.errors import CheckpointError, ModelNotFoundError, UnsupportedError
from undiced.core.opening import read_if_there

_REF_BYTES = 200
_STORAGE = re.compile(r"models--([\w.-]+)--([\w.-]+)", re.ASCII)
_MOST_FILES = 10_000  # ours: of one snapshot; more are no model


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model that can be opened as it lies there.

    Attributes:
        ref: what users type; its revision is the branch or tag that it was fetched by, or the commit.
        path: the folder or the GGUF file.
        nbytes: of its files.
    """

    ref: HubRef
    path: Path
    nbytes: int


def hub_cache_dir() -> Path:
    """Where the hub's files are kept; it may not exist yet."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if folder := os.environ.get(name):
            return Path(os.path.expandvars(folder)).expanduser()
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return Path(os.path.expandvars(home)).expanduser() / "hub"


def storage(repo: str) -> Path:
    """The folder of a repository."""
    return hub_cache_dir() / f"models--{repo.replace('/', '--')}"


def cached(ref: HubRef) -> Path | None:
    """The folder or file that `ref` means, if it is here and whole."""
    commit = _commit(storage(ref.repo), ref.revision)
    return None if commit is None else _opened(ref, storage(ref.repo) / "snapshots" / commit)


def cached_configuration(ref: HubRef) -> Path | None:
    """The folder with the config.json of `ref`, if that is here, with or without weights."""
    commit = _commit(storage(ref.repo), ref.revision)
    snapshot = storage(ref.repo) / "snapshots" / (commit or "")
    return snapshot if commit and not ref.file and not ref.quantization and (snapshot / CONFIG).is_file() else None


def cached_models() -> list[CachedModel]:
    """Every model of the cache that can be opened, by name."""
    found: list[CachedModel] = []
    with suppress(OSError):
        for folder in sorted(hub_cache_dir().iterdir()):
            if (match := _STORAGE.fullmatch(folder.name)) and folder.is_dir():
                found += _models(f"{match[1]}/{match[2]}", folder)
    return found


def remove(model: CachedModel) -> int:
    """Delete a model's files that nothing else in its repository links to; returns the bytes that are free again.

    Raises OSError where that is refused.
    """
    freed = 0
    folder = storage(model.ref.repo)
    with exclusive(lock_folder(model.ref.repo)):
        links = _members(model.path)
        blobs = {link.resolve() for link in links if link.is_symlink()}
        for link in links:
            freed += 0 if link.is_symlink() else link.stat().st_size
            link.unlink()
        kept = {path.resolve() for path in (folder / "snapshots").rglob("*") if path.is_symlink()}
        for blob in blobs - kept:
            if blob.parent == (folder / "blobs").resolve():
                freed += blob.stat().st_size
                blob.unlink()
        if all(path.name in SMALL for path in (folder / "snapshots").rglob("*") if not _is_folder_itself(path)):
            shutil.rmtree(folder)
    return freed


def _members(path: Path) -> list[Path]:
    """The files of a model: what is read of a folder, not what other programs keep beside it."""
    if not path.is_dir():
        return [path.with_name(name) for name in part_names(path.name)]
    return [path / name for name in files_of(path) if name in SMALL or (name.endswith(WEIGHTS) and "/" not in name)]


def _is_folder_itself(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def lock_folder(repo: str) -> Path:
    """Where the lock of a repository lies; the folder is made if need be."""
    folder = hub_cache_dir() / ".locks" / storage(repo).name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def files_of(snapshot: Path) -> list[str]:
    """Names of a snapshot's files, relative to it, a slash between folders."""
    found: list[str] = []
    for folder, _, names in os.walk(snapshot):
        inside = Path(folder).relative_to(snapshot)
        found += [(inside / name).as_posix() for name in names]
        if len(found) > _MOST_FILES:
            break
    return [name for name in found if (snapshot / name).is_file()]


def _models(repo: str, folder: Path) -> Iterator[CachedModel]:
    for snapshot in sorted((folder / "snapshots").glob("*")):
        names, revision = files_of(snapshot), _revision(folder, snapshot.name)
        for file in ("", *sorted({part_names(name)[0] for name in names if name.endswith(GGUF)})):
            ref = HubRef(repo, file, revision=revision)
            if not file and not is_folder(names):
                continue
            if path := _opened(ref, snapshot):
                yield CachedModel(ref, path, sum(each.stat().st_size for each in _members(path)))


def _opened(ref: HubRef, snapshot: Path) -> Path | None:
    """What `ref` means among the files that a snapshot has; None if that is not all there."""
    names = files_of(snapshot)
    try:
        choice = choose(ref, names)
        if choice.file:
            return snapshot / choice.file
        shards, _ = shard_names(snapshot, ref.repo, frozenset(names))
    except (CheckpointError, ModelNotFoundError, UnsupportedError):
        return None
    return snapshot if set(shards) <= set(names) else None


def _commit(folder: Path, revision: str) -> str | None:
    if COMMIT.fullmatch(revision):
        return revision
    try:
        text = (read_if_there(folder / "refs" / revision, _REF_BYTES) or b"").decode("ascii", "replace").strip()
    except CheckpointError:
        return None
    return text if COMMIT.fullmatch(text) else None


def _revision(folder: Path, commit: str) -> str:
    """A branch or tag that leads to a commit, `main` before others; the commit itself where none does."""
    refs = folder / "refs"
    known = [path.relative_to(refs).as_posix() for path in refs.rglob("*") if path.is_file()]
    return next(
        (ref for ref in sorted(known, key=lambda ref: (ref != "main", ref)) if _commit(folder, ref) == commit), commit
    )
