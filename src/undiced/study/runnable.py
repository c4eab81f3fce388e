"""What runs on the host and what can be simulated alone, for those who asked to run what only the wafers take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from undiced.checkpoint.source import OPENED
from undiced.core.errors import ModelNotFoundError, UnsupportedError
from undiced.core.naming import same
from undiced.model import PRESETS

# What the host's compiler takes.
HOST_FAMILIES = frozenset(
    (
        "gemma2",
        "gemma3",
        "gpt2",
        "gpt_neox",
        "gpt_oss",
        "granite",
        "llama",
        "mistral",
        "mixtral",
        "olmo2",
        "olmo3",
        "phi3",
        "qwen2",
        "qwen3",
        "qwen3_moe",
    )
)


@contextmanager
def told_for_host() -> Iterator[None]:
    """A model that is opened to run here: what can't be run is refused with what can, and with what is simulated.

    Raises:
        UnsupportedError, ModelNotFoundError: in these words.
    """
    try:
        yield
    except UnsupportedError as error:
        if not error.known:
            raise
        runs = sorted(name for name, family in error.known.items() if family in HOST_FAMILIES)
        rest = ", ".join(sorted(set(error.known) - set(runs)))
        more = f"; {rest} can be simulated on wafers" if rest else ""
        raise UnsupportedError(error.message, remedy=f"This host runs {', '.join(runs)}{more}.") from None
    except ModelNotFoundError as error:
        raise without_weights(error) from None


def without_weights(error: ModelNotFoundError) -> ModelNotFoundError:
    """The refusal of a name that is a configuration's: its sizes are known, so it can be simulated. Else the error."""
    name = same(error.ref, PRESETS)
    if name is None:
        return error
    return ModelNotFoundError(
        f"{name} is a configuration: its sizes are known here, and it has no weights.",
        remedy=f'undiced.simulate("{name}") times it on wafers. To run a model on this host, name {OPENED}.',
    )
