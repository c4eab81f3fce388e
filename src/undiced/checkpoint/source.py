"""From what a user typed to an open checkpoint: a catalog name, a file, a folder or a model of the hub.

Knows the kinds of references; leaves fetching to `fetch` and `hub_fetch`, and layouts to the readers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from undiced.checkpoint.cache import is_cached, model_path
from undiced.checkpoint.catalog import CATALOG
from undiced.checkpoint.gguf import GgufCheckpoint
from undiced.checkpoint.hub_ref import FORMS, hub_ref
from undiced.checkpoint.pickled import CONVERT, PICKLES
from undiced.core.errors import CheckpointError, ModelNotFoundError, UnsupportedError
from undiced.core.naming import same
from undiced.core.quote import file_name, quoted

if TYPE_CHECKING:
    from undiced.checkpoint.contract import Checkpoint
    from undiced.checkpoint.fetch import Progress

OPENED = f"one of {', '.join(CATALOG)}, a GGUF file, a Hugging Face model folder, or a model of the hub ({FORMS})"


def open_checkpoint(ref: str | Path, *, progress: Progress | None = None, offline: bool = False) -> Checkpoint:
    """Open a model by catalog name, GGUF file, Hugging Face folder or name at the hub.

    Args:
        ref: catalog names come first; write `./name` for a file or folder that is called like one. A path that exists
            comes before a model of the hub.
        progress: called with (bytes done, bytes in all) while a model is fetched.
        offline: never fetch.

    Raises ModelNotFoundError, FetchError, CheckpointError or UnsupportedError, each with a remedy.
    """
    path = resolve(ref, progress=progress, offline=offline)
    name = _catalog_name(ref)
    if path.is_dir():
        from undiced.checkpoint.huggingface import HfCheckpoint

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


def resolve(ref: str | Path, *, progress: Progress | None = None, offline: bool = False, refresh: bool = False) -> Path:
    """The file or folder that a reference means; it is fetched first unless it is here or in a cache.

    refresh: ask the hub for a newer commit even of a cached model.
    """
    name = _catalog_name(ref)
    if name is not None:
        model = CATALOG[name]
        if is_cached(model):
            return model_path(model)
        from undiced.checkpoint.fetch import pull

        return pull(name, progress, offline=offline)
    if _exists(str(ref)):
        return Path(ref).expanduser()
    if isinstance(ref, str) and (hub := hub_ref(ref)):
        from undiced.checkpoint.hub_fetch import pull_from_hub

        return pull_from_hub(hub, progress, offline=offline, refresh=refresh)
    raise _not_found(str(ref))


def to_fetch(ref: str) -> str:
    """What has to be fetched before a reference can be opened, as people call it; "" for nothing."""
    if name := _catalog_name(ref):
        return "" if is_cached(CATALOG[name]) else name
    hub = None if _exists(ref) else hub_ref(ref)
    if hub is None:
        return ""
    from undiced.checkpoint.hub_cache import cached

    return str(hub) if cached(hub) is None else ""


def _exists(ref: str) -> bool:
    try:
        return bool(ref) and Path(ref).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, unprintable, forbidden, or the home of nobody
        return False


def _catalog_name(ref: str | Path) -> str | None:
    """The catalog's name that is meant; a file or folder called nearly like one is itself."""
    if not isinstance(ref, str):
        return None
    name = same(ref, CATALOG)
    return name if name in (None, ref.casefold()) or not Path(ref).exists() else None


def _not_found(ref: str) -> ModelNotFoundError:
    import difflib

    near = difflib.get_close_matches(ref.casefold()[:200], CATALOG, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return ModelNotFoundError(
        f"There is no model, file or folder {quoted(ref)}.{hint}", remedy=f"Name {OPENED}.", ref=ref
    )
