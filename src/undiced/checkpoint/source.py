"""From what a user typed to an open checkpoint: a catalog name, a GGUF file or a Hugging Face folder.

Knows the kinds of references; leaves fetching to `fetch` and layouts to the readers.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from undiced.checkpoint.catalog import CATALOG
from undiced.checkpoint.contract import Checkpoint
from undiced.checkpoint.fetch import Progress, pull
from undiced.checkpoint.gguf import GgufCheckpoint
from undiced.checkpoint.huggingface import CONVERT, PICKLES, HfCheckpoint
from undiced.core.errors import CheckpointError, ModelNotFoundError, UnsupportedError
from undiced.core.naming import same
from undiced.core.quote import file_name, quoted


def open_checkpoint(ref: str | Path, *, progress: Progress | None = None, offline: bool = False) -> Checkpoint:
    """Open a model by catalog name, GGUF file or Hugging Face folder.

    Args:
        ref: catalog names come first; write `./name` for a file or folder that is called like one.
        progress: called with (bytes done, bytes in all) while a catalog model is fetched.
        offline: never fetch.

    Raises ModelNotFoundError, FetchError, CheckpointError or UnsupportedError, each with a remedy.
    """
    path = resolve(ref, progress=progress, offline=offline)
    name = _catalog_name(ref)
    if path.is_dir():
        return HfCheckpoint(path, name=name)
    if path.suffix in PICKLES:
        raise UnsupportedError(
            f"{file_name(path)} holds pickled weights, which can run code when loaded.", remedy=CONVERT
        )
    if path.suffix == ".safetensors":
        raise CheckpointError(
            f"{file_name(path)} holds weights without a configuration.", remedy="Name the folder that it is in."
        )
    return GgufCheckpoint(path, name=name)


def resolve(ref: str | Path, *, progress: Progress | None = None, offline: bool = False) -> Path:
    """The file or folder that a reference means; a catalog model is fetched first unless it is cached."""
    name = _catalog_name(ref)
    if name is not None:
        return pull(name, progress, offline=offline)
    try:
        path = Path(ref).expanduser()
        if str(ref) and path.exists():
            return path
    except (OSError, ValueError, RuntimeError):  # too long, unprintable, forbidden, or the home of nobody
        pass
    raise _not_found(str(ref))


def _catalog_name(ref: str | Path) -> str | None:
    """The catalog's name that is meant; a file or folder called nearly like one is itself."""
    if not isinstance(ref, str):
        return None
    name = same(ref, CATALOG)
    return name if name in (None, ref.casefold()) or not Path(ref).exists() else None


def _not_found(ref: str) -> ModelNotFoundError:
    near = difflib.get_close_matches(ref.casefold()[:200], CATALOG, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return ModelNotFoundError(
        f"There is no model, file or folder {quoted(ref)}.{hint}",
        remedy=f"Name one of {', '.join(CATALOG)}, a GGUF file, or a Hugging Face model folder.",
    )
