"""Arguments that several commands take, with one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_MODEL = "smollm2-135m"


def _known(incomplete: str) -> list[str]:
    """Names of packaged and fetched models, which a shell completes; it completes files by itself."""
    from undiced.checkpoint import CATALOG
    from undiced.checkpoint.hub_cache import cached_models

    names = [*CATALOG, *(str(model.ref) for model in cached_models())]
    return [name for name in names if name.startswith(incomplete)]


HUB = "org/name[@REVISION] at the hub"
_MODEL = f"A catalog name, a GGUF file, a Hugging Face folder, or {HUB}."
Model = Annotated[str, typer.Argument(help=_MODEL, metavar="MODEL", autocompletion=_known)]
Models = Annotated[list[str], typer.Argument(help=_MODEL, metavar="MODEL...", autocompletion=_known)]
Asked = Annotated[
    str,
    typer.Argument(
        help=f"{_MODEL} Words that are none of these are the question.", metavar="MODEL", autocompletion=_known
    ),
]
Question = Annotated[str | None, typer.Argument(help="What to answer.", metavar="QUESTION", show_default=False)]
Revision = Annotated[
    str | None, typer.Option("--revision", help="A branch, tag or commit, as behind the @ of a name; main by default.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Cores to use; all by default.")]
MaxContext = Annotated[int | None, typer.Option(min=16, help="Most tokens of a prompt and its answer together.")]
KvTypeName = Annotated[
    str,
    typer.Option(
        "--kv-type",
        help="How keys and values are kept: f16, or int8 in half the memory, which changes answers slightly.",
    ),
]
Draft = Annotated[
    str | None,
    typer.Option(help="A smaller model of the same vocabulary that guesses tokens ahead.", autocompletion=_known),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def asked(model: str, question: str | None) -> tuple[str, str | None]:
    """The model and the question; several words alone that name no file are a question to the default model."""
    if question is None and len(model.split()) > 1 and not Path(model).exists():
        return DEFAULT_MODEL, model
    return model, question
