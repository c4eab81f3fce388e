"""The options that say how an answer is drawn and what it looks like, of commands that ask a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.core.sampling import WIRE_RANGES
from undiced.core.usual import CHAT, CHAT_TOKENS

if TYPE_CHECKING:
    from undiced.params import SamplingParams, Usual


def _usual(name: str) -> str:
    """The default of a sampling number, as help shows it."""
    return f"the model's own, else {CHAT.get(name, 0):g}"


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
Schema = Annotated[
    Path | None,
    typer.Option(
        "--schema", help="A file with a JSON schema; answers are documents that it accepts.", show_default=False
    ),
]


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """See the file's head."""

    max_tokens: MaxTokens = None
    temperature: Temperature = None
    top_p: TopP = None
    top_k: TopK = None
    repeat_penalty: RepeatPenalty = None
    seed: Seed = None
    schema: Schema = None

    def params(self, usual_tokens: int | Usual, stop: tuple[str, ...] = ()) -> SamplingParams:
        """The same for the model. `usual_tokens`: the limit where none is given.

        Raises:
            InvalidRequestError: the file of the schema can't be read, or holds none.
        """
        from undiced.cli.schema_file import structured
        from undiced.params import SamplingParams

        return SamplingParams(
            max_tokens=self.max_tokens or usual_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            repetition_penalty=self.repeat_penalty,
            seed=self.seed,
            structured_outputs=structured(self.schema),
            stop=stop,
        )
