"""Arguments that several commands take, with one wording."""

from __future__ import annotations

from typing import Annotated

import typer

from undiced.core.sampling import PARAMETERS
from undiced.core.usual import CHAT, CHAT_TOKENS

_RANGES = {row.name: row.wire for row in PARAMETERS}
DEFAULT_MODEL = "smollm2-135m"


def _usual(name: str) -> str:
    """The default of a sampling number, as help shows it."""
    return f"the model's own, else {CHAT.get(name, 0):g}"


Model = Annotated[str, typer.Argument(help="A catalog name, a GGUF file or a Hugging Face folder.", metavar="MODEL")]
Threads = Annotated[int | None, typer.Option(min=1, help="Cores to use; all by default.")]
MaxContext = Annotated[int | None, typer.Option(min=16, help="Most tokens of a prompt and its answer together.")]
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
        min=_RANGES["temperature"].low,
        max=_RANGES["temperature"].high,
        show_default=_usual("temperature"),
        help="0 always takes the likeliest token.",
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        min=_RANGES["top_p"].low,
        max=_RANGES["top_p"].high,
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
        min=_RANGES["repetition_penalty"].low,
        max=_RANGES["repetition_penalty"].high,
        show_default=_usual("repetition_penalty"),
        help="Over 1: what was said already becomes less likely.",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Equal seeds give equal answers.")]
