"""The two endpoints that generate text: body to wire type, wire type to job, job and prompt to an answer."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import TYPE_CHECKING

from undiced.api.answer import Answer
from undiced.api.body import decode_body, read_body
from undiced.api.chat import ChatShape, template_messages
from undiced.api.chunks import Head
from undiced.api.completions import CompletionShape, check_ids, prompts_of
from undiced.api.generation import Choice
from undiced.api.schemas import ChatBody, CompletionBody
from undiced.api.stream import AnswerResponse
from undiced.api.validate import chat_job, completion_job
from undiced.core.errors import InvalidRequestError
from undiced.serve import Request as Sequence

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from undiced.api.completions import Prompt
    from undiced.api.service import Service
    from undiced.api.validate import Job

IGNORED_HEADER = "x-undiced-ignored-fields"
_IGNORED_SHOWN = 16
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


async def chat_completions(request: Request) -> Response:
    """POST /v1/chat/completions."""
    started_s = time.perf_counter()
    service: Service = request.app.state.service
    body = await read_body(request, service.settings)
    wire, unknown = decode_body(body, ChatBody)
    service.admit(wire.model)
    job = chat_job(wire, service.tokenizer.vocab_size, service.settings)
    with service.preparing():
        prompt = await service.prompts.conversation(template_messages(wire.messages, service.settings))
    room = service.prompts.room(len(prompt), job.max_tokens, "messages")
    name = "chatcmpl-" + secrets.token_hex(12)
    choices = _choices(service, job, _sequence(service, job, name, prompt, room), first=0, echo="", continues=False)
    head = _head(service, job, name, len(prompt))
    return _respond(request, Answer(service, choices, started_s), ChatShape(head), job, unknown)


async def completions(request: Request) -> Response:
    """POST /v1/completions."""
    started_s = time.perf_counter()
    service: Service = request.app.state.service
    body = await read_body(request, service.settings)
    wire, unknown = decode_body(body, CompletionBody)
    service.admit(wire.model)
    job = completion_job(wire, service.tokenizer.vocab_size, service.settings)
    prompts = prompts_of(wire.prompt, service.settings)
    if len(prompts) * job.n > service.settings.max_sequences:
        raise InvalidRequestError(
            f"prompts times n is {len(prompts) * job.n}, at most {service.settings.max_sequences} are allowed.",
            param="n",
        )
    name = "cmpl-" + secrets.token_hex(12)
    choices: list[Choice] = []
    with service.preparing():
        for at, prompt in enumerate(prompts):
            choices += await _choices_of(service, job, prompt, f"{name}.{at}", at * job.n, echo=bool(wire.echo))
            await asyncio.sleep(0)  # many prompts, each short enough for this loop: let the streams go on in between
    head = _head(service, job, name, sum(len(choice.request.prompt) for choice in choices[:: job.n]))
    return _respond(request, Answer(service, choices, started_s), CompletionShape(head), job, unknown)


async def _choices_of(service: Service, job: Job, prompt: Prompt, name: str, first: int, *, echo: bool) -> list[Choice]:
    """The choices of one of a completion's prompts, numbered from `first`."""
    texts, tokenizer = service.prompts, service.tokenizer
    ids = await texts.text(prompt) if isinstance(prompt, str) else check_ids(prompt, tokenizer.vocab_size)
    room = texts.room(len(ids), job.max_tokens, "prompt")
    shown = "" if not echo else prompt if isinstance(prompt, str) else tokenizer.decode(ids)
    return _choices(service, job, _sequence(service, job, name, ids, room), first=first, echo=shown, continues=True)


def _sequence(service: Service, job: Job, name: str, prompt: list[int], room: int) -> Sequence:
    return Sequence(
        id=name,
        prompt=tuple(prompt),
        max_tokens=room,
        sampling=job.sampling,
        eos_ids=tuple(sorted(service.tokenizer.eos_ids)),
        stop_token_ids=job.stop_ids,
        ignore_eos=job.ignore_eos,
        cache_salt=job.cache_salt,
    )


def _choices(service: Service, job: Job, sequence: Sequence, *, first: int, echo: str, continues: bool) -> list[Choice]:
    least = job.sampling.min_tokens
    return [
        Choice(first + at, copy, service.tokenizer, service.text_stream(job.stops, continues, least), echo)
        for at, copy in enumerate(sequence.copies(job.n))
    ]


def _head(service: Service, job: Job, name: str, prompt_tokens: int) -> Head:
    return Head(
        name,
        service.card.id,
        service.card.fingerprint,
        time.time(),
        prompt_tokens,
        job.include_usage,
        job.continuous_usage,
    )


def _respond(
    request: Request, answer: Answer, shape: ChatShape | CompletionShape, job: Job, unknown: tuple[str, ...]
) -> AnswerResponse:
    shown = [name for name in unknown if _FIELD_NAME.fullmatch(name)][:_IGNORED_SHOWN]
    headers = {IGNORED_HEADER: ",".join(shown)} if shown else {}
    return AnswerResponse(
        answer.service,
        answer,
        shape,
        request.scope["undiced.request_id"],
        stream=job.stream,
        include_usage=job.include_usage,
        headers=headers,
    )
