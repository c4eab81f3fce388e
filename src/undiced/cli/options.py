"""Arguments that several commands take, with one wording."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_MODEL = "smollm2-135m"

Model = Annotated[str, typer.Argument(help="A catalog name, a GGUF file or a Hugging Face folder.", metavar="MODEL")]
Threads = Annotated[int | None, typer.Option(min=1, help="Cores to use; all by default.")]
MaxContext = Annotated[int | None, typer.Option(min=16, help="Most tokens of a prompt and its answer together.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Temperature = Annotated[float, typer.Option(min=0, max=2, help="0 always takes the likeliest token.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Equal seeds give equal answers.")]
