"""Deletes what was fetched: a packaged model, or one of the hub's cache. Never touches a file of the user's own."""

from __future__ import annotations

import shutil

from undiced.checkpoint import hub_cache
from undiced.checkpoint.cache import exclusive, forget_packed, model_path
from undiced.checkpoint.catalog import CATALOG
from undiced.checkpoint.hub_ref import hub_ref
from undiced.core.errors import FetchError, ModelNotFoundError
from undiced.core.naming import same
from undiced.core.quote import quoted


def remove(name: str) -> int:
    """Delete a model by its name; returns the bytes that are free again.

    Raises ModelNotFoundError for what is not in a cache, FetchError where the system refuses.
    """
    try:
        packaged = same(name, CATALOG)
        return _packaged(packaged) if packaged else _of_the_hub(name)
    except OSError as error:
        raise FetchError(
            f"{quoted(name)} could not be deleted: {error.strerror or error}.", remedy="Check the cache's permissions."
        ) from error


def _packaged(name: str) -> int:
    path = model_path(CATALOG[name])
    if not path.exists():
        raise ModelNotFoundError(f"{name} is not in the cache.", remedy="`undiced models` lists what is.")
    nbytes = path.stat().st_size
    forget_packed(path)
    with exclusive(path.parent):
        shutil.rmtree(path.parent)
    return nbytes


def _of_the_hub(name: str) -> int:
    ref = hub_ref(name)
    path = hub_cache.cached(ref) if ref else None
    found = [model for model in hub_cache.cached_models() if path is not None and model.path == path]
    if not found:
        raise ModelNotFoundError(
            f"{quoted(name)} is no model that was fetched.",
            remedy="`undiced models` lists those; delete a file or folder of your own yourself.",
        )
    forget_packed(found[0].path)
    return hub_cache.remove(found[0])
