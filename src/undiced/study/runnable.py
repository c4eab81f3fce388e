"""What can be simulated alone, for those who asked to run it."""

from __future__ import annotations

from undiced.checkpoint.source import OPENED
from undiced.core.errors import ModelNotFoundError
from undiced.core.naming import same
from undiced.model import PRESETS


def without_weights(error: ModelNotFoundError) -> ModelNotFoundError:
    """The refusal of a name that is a configuration's: its sizes are known, so it can be simulated. Else the error."""
    name = same(error.ref, PRESETS)
    if name is None:
        return error
    return ModelNotFoundError(
        f"{name} is a configuration: its sizes are known here, and it has no weights.",
        remedy=f'undiced.simulate("{name}") times it on wafers. To run a model on this host, name {OPENED}.',
    )
