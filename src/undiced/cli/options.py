"""Arguments that several commands take, with one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from undiced.core.sampling import WIRE_RANGES
from undiced.core.usual import CHAT, CHAT_TOKENS

DEFAULT_MODEL = "smollm2-135m"


def _usual(name: str) -> str:
    """The default of a sampling number, as help shows it."""
    return f"the model's own, else {CHAT.get(name, 0):g}"


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
Schema = Annotated[
    Path | None,
    typer.Option(
        "--schema", help="A file with a JSON schema; answers are documents that it accepts.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        "-n",
        "--tokens",
        min=1,
        show_default=f"{CHAT_TOKENS:,}",
        help="Most tokens of an answer.",
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        min=WIRE_RANGES["temperature"].low,
        max=WIRE_RANGES["temperature"].high,
        show_default=_usual("temperature"),
        help="0 always takes the likeliest token.",
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        min=WIRE_RANGES["top_p"].low,
        max=WIRE_RANGES["top_p"].high,
        show_default=_usual("top_p"),
        help="Draw among the likeliest tokens that hold this share.",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(min=0, show_default=_usual("top_k"), help="Draw among this many of the likeliest tokens; 0: all."),
]
RepeatPenalty = Annotated[
    float | None,
    typer.Option(
        min=WIRE_RANGES["repetition_penalty"].low,
        max=WIRE_RANGES["repetition_penalty"].high,
        show_default=_usual("repetition_penalty"),
        help="Over 1: what was said already becomes less likely.",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Equal seeds give equal answers.")]


def asked(model: str, question: str | None) -> tuple[str, str | None]:
    """The model and the question; several words alone that name no file are a question to the default model."""
    if question is None and len(model.split()) > 1 and not Path(model).exists():
        return DEFAULT_MODEL, model
    return model, question
