"""`undiced chat`: a conversation in the terminal, in this process. Opens the model; `conversation` holds the talk."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from undiced.cli.answer_options import AnswerOptions
from undiced.cli.gathered import gathered
from undiced.cli.opening import Opening
from undiced.cli.options import DEFAULT_MODEL, Asked, Json, Question, asked
from undiced.core.usual import CHAT_TOKENS


@gathered
def chat(
    *,
    model: Asked = DEFAULT_MODEL,
    question: Question = None,
    system: Annotated[str, typer.Option("--system", help="The system prompt.")] = "",
    answering: AnswerOptions,
    opening: Opening,
    as_json: Json = False,
) -> None:
    """Chat with a model in the terminal. With --json, a line of JSON answers each line of input."""
    from undiced.cli.conversation import Conversation

    model, question = asked(model, question)
    params = answering.params(CHAT_TOKENS)
    with opening.opened(model, quiet=as_json) as llm:
        llm.chat_ids([{"role": "user", "content": ""}])  # a base model is refused before anybody has typed
        conversation = Conversation(llm, params, system, as_json=as_json)
        if sys.stdin.isatty():
            conversation.tell(f"{llm.config.name}. /help tells what can be typed, Ctrl-D leaves.")
        if question:
            conversation.take(question)
        conversation.run()
