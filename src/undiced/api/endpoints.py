"""The two endpoints that generate text: body to wire type, wire type to job, job and prompt to an answer."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.api.call import Call, Prompt, holding, receive
from undiced.api.chat import ChatShape, said_last, template_messages
from undiced.api.completions import CompletionShape, check_ids, detokenized, prompts_of
from undiced.api.encoding import encode
from undiced.api.form import form_of
from undiced.api.guides import calls_form, guide_of
from undiced.api.messages import check_messages
from undiced.api.reasoning import NO_BUDGET, budget, shown
from undiced.api.schemas import ChatBody, CompletionBody
from undiced.api.talk import prompt_options
from undiced.api.tools import toolbox
from undiced.api.validate import chat_job, completion_job
from undiced.core.errors import InvalidRequestError
from undiced.text.formats import TapeOptions

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.api.choice import Choice
    from undiced.api.validate import Job


@holding
async def chat_completions(request: Request) -> Response:
    """POST /v1/chat/completions."""
    call = await receive(request, ChatBody)
    wire, deployment, settings = call.wire, call.deployment, call.service.settings
    dialect = deployment.dialect
    job = chat_job(wire, deployment.tokenizer, settings, deployment.card.sampling)
    box, form = toolbox(wire, dialect, settings), await form_of(wire)
    told, most = shown(wire, dialect, json=form is not None), budget(wire, dialect)
    options = prompt_options(wire, box)
    check_messages(wire.messages)
    job = replace(job, form=await calls_form(box, dialect, form))
    with call.service.preparing():
        messages = template_messages(wire.messages, settings)
        ids, end = await deployment.prompts.conversation(messages, options)
    said = said_last(messages) if options.continue_final_message else ""
    reading = TapeOptions(
        opened=dialect.opens(end, said),
        raw=told.raw,
        trim=not job.stops,
        single=not box.parallel,
    )
    guide = guide_of(job.form, dialect.thinks_in(deployment.marks, end, said), most)
    channels = dialect.channels({tool.name: tool for tool in box.tools}, reading)
    name = "chatcmpl-" + secrets.token_hex(12)
    prompt = Prompt(ids, "messages", "", options.continue_final_message, guide, channels)
    apart = channels is not None
    return call.answer(job, name, call.choices(job, name, prompt), lambda head: ChatShape(head, told, apart=apart))


@holding
async def input_tokens(request: Request) -> Response:
    """POST /v1/chat/completions/input_tokens: how long the prompt of a chat request is."""
    call = await receive(request, ChatBody)
    wire, deployment, settings = call.wire, call.deployment, call.service.settings
    options = prompt_options(wire, toolbox(wire, deployment.dialect, settings))
    check_messages(wire.messages)
    with call.service.preparing():
        ids, _ = await deployment.prompts.conversation(template_messages(wire.messages, settings), options)
    return Response(encode({"input_tokens": len(ids)}), media_type="application/json")


@holding
async def completions(request: Request) -> Response:
    """POST /v1/completions."""
    call = await receive(request, CompletionBody)
    settings = call.service.settings
    job = replace(completion_job(call.wire, call.deployment.tokenizer, settings), form=await form_of(call.wire))
    prompts = prompts_of(call.wire.prompt, settings)
    if len(prompts) * job.n > settings.max_sequences:
        message = f"prompts times n is {len(prompts) * job.n}, at most {settings.max_sequences} are allowed."
        raise InvalidRequestError(message, param="n")
    name = "cmpl-" + secrets.token_hex(12)
    choices: list[Choice] = []
    scored = 0
    with call.service.preparing():
        for at, prompt in enumerate(prompts):
            tokenized = await _tokenized(call, prompt, job)
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
    guide = guide_of(job.form, None, NO_BUDGET)
    if not call.wire.echo:
        return Prompt(ids, "prompt", continues=True, guide=guide)
    names = call.wire.skip_special_tokens is False
    text = prompt if isinstance(prompt, str) else detokenized(tokenizer, ids, names)
    return Prompt(ids, "prompt", text, continues=True, guide=guide)
