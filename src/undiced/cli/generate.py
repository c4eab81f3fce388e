"""`undiced generate`: continues one text, in this process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import DEFAULT_MODEL, Json, MaxContext, Model, Seed, Temperature, Threads
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.outputs import Completion


def generate(
    model: Model = DEFAULT_MODEL,
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", help="The text to continue; - reads it from the input.")
    ] = "-",
    count: Annotated[int, typer.Option("--tokens", "-n", min=1, help="Most tokens to generate.")] = 128,
    temperature: Temperature = 0.0,
    seed: Seed = None,
    stop: Annotated[list[str] | None, typer.Option(help="A string that ends the answer; may be repeated.")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Answer the text as a chat message.")] = False,
    threads: Threads = None,
    max_context: MaxContext = None,
    as_json: Json = False,
) -> None:
    """Continue a text, and say how fast."""
    from undiced.cli.terminal import emit, loading, typed
    from undiced.llm import LLM, SamplingParams

    if prompt == "-" and sys.stdin.isatty():
        typer.secho("The text to continue, then Ctrl-D:", fg="bright_black", err=True)
    text = typed() if prompt == "-" else prompt
    params = SamplingParams(max_tokens=count, temperature=temperature, seed=seed, stop=tuple(stop or ()))
    with loading(model, quiet=as_json) as bar:
        llm = LLM(model, threads=threads, max_batch=1, max_context=max_context, progress=bar)
    asked = [{"role": "user", "content": text}] if chat else text
    with llm:
        answer = None
        for piece, so_far in llm.stream(asked, params):
            answer = so_far
            if not as_json:
                typer.echo(printable(piece), nl=False)
    assert answer is not None  # the last delta carries the account, so there is at least one
    if as_json:
        emit(summary(answer))
    else:
        typer.echo()
        typer.secho(figures(answer), fg="bright_black", err=True)


def summary(answer: Completion) -> dict[str, object]:
    """What scripts read; `tokens` is their number."""
    return {
        "text": answer.text,
        "tokens": len(answer.token_ids),
        "tokens_per_second": round(answer.tokens_per_second, 3),
        "time_to_first_token_s": round(answer.time_to_first_token_s, 6),
        "finish_reason": answer.finish_reason,
    }


def figures(answer: Completion) -> str:
    """The speed of an answer, for people."""
    return (
        f"{answer.tokens_per_second:.0f} tokens/s, first token {answer.time_to_first_token_s * 1000:.0f} ms, "
        f"{len(answer.token_ids)} tokens"
    )
