"""`undiced generate`: answers one question, or continues one text, in this process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.answer_options import AnswerOptions
from undiced.cli.gathered import gathered
from undiced.cli.opening import Opening
from undiced.cli.options import DEFAULT_MODEL, Asked, Json, Question, asked
from undiced.core.errors import InvalidRequestError
from undiced.core.usual import TEXT_TOKENS

if TYPE_CHECKING:
    from undiced.llm import LLM
    from undiced.outputs import Completion
    from undiced.params import SamplingParams

_BASE = "The model has no chat template."


@gathered
def generate(
    *,
    model: Asked = DEFAULT_MODEL,
    question: Question = None,
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", "-p", help="The question; without one, or as -, it is read from the input."),
    ] = None,
    answering: AnswerOptions,
    stop: Annotated[list[str] | None, typer.Option(help="A string that ends the answer; may be repeated.")] = None,
    chat: Annotated[
        bool | None,
        typer.Option(
            "--chat/--raw",
            show_default="--chat if the model has a chat template",
            help=f"Answer as a chat, or continue the raw text by the likeliest tokens, {TEXT_TOKENS} at most.",
        ),
    ] = None,
    opening: Opening,
    as_json: Json = False,
) -> None:
    """Answer a question, or continue a text with --raw. Says how fast."""
    from undiced.cli.terminal import emit, folded
    from undiced.params import USUAL_LIMIT

    model, question = asked(model, question)
    if prompt is not None and question is not None:
        raise InvalidRequestError("The question stands there twice.", remedy="Leave --prompt out.")
    text = question if question is not None else prompt if prompt is not None else "-"
    params = answering.params(USUAL_LIMIT, tuple(stop or ()))
    with opening.opened(model, quiet=as_json) as llm:
        if text == "-":  # asked for once it is known that there is such a model
            text = _typed()
        if not text.strip():
            raise InvalidRequestError("The prompt is empty.", remedy="Give a text with --prompt, or on the input.")
        talk = llm.can_chat if chat is None else chat
        answer = _streamed(llm, text, params, talk=talk, silent=as_json)
        note = advice(llm, answer, talk=talk)
        if chat is None and not talk:
            note = f"Continued, not answered. {llm.chat_problem or _BASE} {note}".strip()
    if as_json:
        emit(summary(answer) | ({"note": note} if note else {}))
    else:
        notes = "\n".join(filter(None, (figures(answer), note)))
        typer.secho(folded(notes, sys.stderr), fg="bright_black", err=True)


def _typed() -> str:
    from undiced.cli.terminal import typed

    if sys.stdin.isatty():
        typer.secho("The text, then Ctrl-D:", fg="bright_black", err=True)
    return typed()


def _streamed(llm: LLM, text: str, params: SamplingParams, *, talk: bool, silent: bool) -> Completion:
    """The answer, shown as it comes."""
    from undiced.cli.showing import showing, thinking

    answer = None
    told = [{"role": "user", "content": text.strip()}] if talk else text
    with showing(silent=silent, markdown=talk) as write, thinking(silent=silent) as think:
        for piece, so_far in llm.stream(told, params):
            answer = so_far
            think(so_far.reasoning, piece)
            write(piece)
    assert answer is not None  # the last delta carries the account, so there is at least one
    return answer


def advice(llm: LLM, answer: Completion, *, talk: bool) -> str:
    """What to do about an answer that was cut, or that is none; else empty."""
    from undiced.cli.terminal import counted

    if answer.finish_reason == "length":
        if fills_context(llm, answer):
            return f"Cut: the context of {llm.context} tokens is full; --max-context sets its length."
        return f"Cut at {counted(len(answer.token_ids), 'token')}; --max-tokens sets the limit."
    if answer.text.strip():
        return ""
    if talk:
        return "The answer is empty. Ask in other words, or with another --seed."
    if llm.can_chat:
        return "The model ended the text at once. It is tuned to chat: leave out --raw to have the text answered."
    return "The model ended the text at once. Give it the beginning of a text that it can go on with."


def fills_context(llm: LLM, answer: Completion) -> bool:
    """Whether nothing could follow an answer, whatever its limit."""
    return answer.usage is not None and answer.usage.prompt_tokens + answer.usage.completion_tokens >= llm.context


def summary(answer: Completion) -> dict[str, object]:
    """What scripts read; `tokens` is their number."""
    return {
        "text": answer.text,
        **({"reasoning": answer.reasoning} if answer.reasoning else {}),
        "tokens": len(answer.token_ids),
        "tokens_per_second": round(answer.tokens_per_second, 3),
        "time_to_first_token_s": round(answer.time_to_first_token_s, 6),
        "finish_reason": answer.finish_reason,
    }


def figures(answer: Completion) -> str:
    """The speed of an answer, for people."""
    from undiced.cli.terminal import counted

    return (
        f"{answer.tokens_per_second:.0f} tokens/s, first token {answer.time_to_first_token_s * 1000:.0f} ms, "
        f"{counted(len(answer.token_ids), 'token')}"
    )
