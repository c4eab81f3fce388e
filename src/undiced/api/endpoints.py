"""OpenAI's two older endpoints that generate text: body to wire type, wire type to job, job and prompt to an answer."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.api.call import Call, Prompt, holding, receive
from undiced.api.chat import ChatShape, predicted
from undiced.api.completions import CompletionShape, check_ids, detokenized, prompts_of
from undiced.api.countings import count_counting
from undiced.api.encoding import encode
from undiced.api.form import form_of
from undiced.api.guides import guide_of
from undiced.api.schemas import ChatBody, CompletionBody
from undiced.api.turn import prompt_tokens, turn_of
from undiced.api.validate import completion_job
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.api.choice import Choice
    from undiced.api.validate import Job


@holding
async def chat_completions(request: Request) -> Response:
    """POST /v1/chat/completions."""
    call = await receive(request, ChatBody)
    turn = await turn_of(call, "chatcmpl-" + secrets.token_hex(12))
    return call.answer(turn.job, turn.name, turn.choices, lambda head: ChatShape(head, turn.shown, apart=turn.apart))


@holding
async def input_tokens(request: Request) -> Response:
    """POST /v1/chat/completions/input_tokens: how long the prompt of a chat request is."""
    call = await receive(request, ChatBody)
    await count_counting(request, call.deployment.card.id)
    return Response(encode({"input_tokens": await prompt_tokens(call)}), media_type="application/json")


@holding
async def completions(request: Request) -> Response:
    """POST /v1/completions."""
    call = await receive(request, CompletionBody)
    settings = call.deployment.settings
    job = replace(completion_job(call.wire, call.deployment.tokenizer, settings), form=await form_of(call.wire))
    prompts = prompts_of(call.wire.prompt, settings)
    if len(prompts) * job.n > settings.max_sequences:
        message = f"prompts times n is {len(prompts) * job.n}, at most {settings.max_sequences} are allowed."
        raise InvalidRequestError(message, param="n")
    name = "cmpl-" + secrets.token_hex(12)
    choices: list[Choice] = []
    scored = 0
    with call.service.preparing():
        expected = await call.deployment.prompts.expected(predicted(call.wire.prediction))
        for at, prompt in enumerate(prompts):
            tokenized = replace(await _tokenized(call, prompt, job), expected=expected)
            scored += len(tokenized.ids) * job.scores
            if scored > settings.max_scores:
                message = f"echo with logprobs asks for over {settings.max_scores} log-probabilities."
                raise InvalidRequestError(message, param="echo", remedy="Send fewer or shorter prompts at a time.")
            choices += call.choices(job, f"{name}.{at}", tokenized, at * job.n)
            await asyncio.sleep(0)  # many prompts, each short enough for this loop: let the streams go on in between
    return call.answer(job, name, choices, CompletionShape)


async def _tokenized(call: Call[CompletionBody], prompt: str | list[int], job: Job) -> Prompt:
    tokenizer = call.deployment.tokenizer
    if isinstance(prompt, str):
        ids = await call.deployment.prompts.text(prompt)
    else:
        call.deployment.prompts.room(len(prompt), 0, "prompt")  # before a hopeless one is walked through
        ids = check_ids(prompt, tokenizer.vocab_size)
    guide = guide_of(job.form, None)
    if not call.wire.echo:
        return Prompt(ids, "prompt", continues=True, guide=guide)
    names = call.wire.skip_special_tokens is False
    text = prompt if isinstance(prompt, str) else detokenized(tokenizer, ids, names)
    return Prompt(ids, "prompt", text, continues=True, guide=guide)
