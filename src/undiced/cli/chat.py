"""`undiced chat`: a conversation in the terminal, in this process. Opens the model; `conversation` holds the talk."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from undiced.cli.options import (
    DEFAULT_MODEL,
    Asked,
    Json,
    MaxContext,
    MaxTokens,
    Question,
    RepeatPenalty,
    Revision,
    Schema,
    Seed,
    Temperature,
    Threads,
    TopK,
    TopP,
    asked,
)
from undiced.core.usual import CHAT_TOKENS


def chat(
    model: Asked = DEFAULT_MODEL,
    question: Question = None,
    system: Annotated[str, typer.Option("--system", help="The system prompt.")] = "",
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    repeat_penalty: RepeatPenalty = None,
    seed: Seed = None,
    schema: Schema = None,
    threads: Threads = None,
    max_context: MaxContext = None,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Chat with a model in the terminal. With --json, a line of JSON answers each line of input."""
    from undiced.cli.conversation import Conversation
    from undiced.cli.opening import opened
    from undiced.cli.schema_file import structured
    from undiced.params import SamplingParams

    model, question = asked(model, question)
    form = structured(schema)
    with opened(model, revision, threads, max_context, quiet=as_json) as llm:
        llm.chat_ids([{"role": "user", "content": ""}])  # a base model is refused before anybody has typed
        params = SamplingParams(
            max_tokens=max_tokens or CHAT_TOKENS,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            repetition_penalty=repeat_penalty,
            seed=seed,
            structured_outputs=form,
        )
        conversation = Conversation(llm, params, system, as_json=as_json)
        if sys.stdin.isatty():
            conversation.tell(f"{llm.config.name}. /help tells what can be typed, Ctrl-D leaves.")
        if question:
            conversation.take(question)
        conversation.run()
