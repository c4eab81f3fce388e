"""What a process that builds much at once tells the collector of garbage: nothing of it is garbage."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def all_stays() -> Iterator[None]:
    """No garbage is looked for inside, and what came into being inside counts as old behind it: a vocabulary is walked
    dozens of times while it is read otherwise. Nothing changes where no garbage is looked for anyway.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # what its user has frozen stays so
            gc.freeze()
            gc.unfreeze()
        gc.enable()
