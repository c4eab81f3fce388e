"""POST /v1/responses and POST /v1/responses/input_tokens: a body is translated to a chat request, which takes the way
of all chat requests; its answer is written as a response.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import Response

from undiced.api.call import Call, holding, receive
from undiced.api.countings import count_counting
from undiced.api.encoding import encode
from undiced.api.responses.events import ResponseEvents
from undiced.api.responses.frame import Frame
from undiced.api.responses.schemas import ResponseBody
from undiced.api.responses.translation import translated
from undiced.api.turn import prompt_tokens, turn_of
from undiced.core.errors import ContextLengthError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from undiced.api.responses.translation import Translation
    from undiced.api.schemas import ChatBody

T = TypeVar("T")


@holding
async def responses(request: Request) -> Response:
    """POST /v1/responses; nothing is stored."""
    call = await receive(request, ResponseBody)
    name = "resp_" + secrets.token_hex(16)
    turn, found = await _taken(call, lambda chat: turn_of(chat, name, mixed=True))
    job = turn.named(found.places)
    chat = call.translated(found.chat, call.unknown + found.ignored)
    return chat.answer(
        job,
        name,
        turn.choices,
        lambda head: ResponseEvents(head, Frame(head, call.wire, job, found.shown), found.called),
    )


@holding
async def input_tokens(request: Request) -> Response:
    """POST /v1/responses/input_tokens: how long the prompt is; nothing runs."""
    call = await receive(request, ResponseBody)
    await count_counting(request, call.deployment.card.id)
    count, _ = await _taken(call, lambda chat: prompt_tokens(chat, mixed=True))
    return Response(encode({"object": "response.input_tokens", "input_tokens": count}), media_type="application/json")


async def _taken(call: Call[ResponseBody], take: Callable[[Call[ChatBody]], Awaitable[T]]) -> tuple[T, Translation]:
    """What comes of the chat request, and how that was translated. Where a chat template refuses what the system and
    the developer say in the middle, that goes to the beginning.
    """
    found = await _translated(call)
    try:
        with found.places.named():
            return await take(call.translated(found.chat, call.unknown + found.ignored)), found
    except ContextLengthError:
        raise
    except InvalidRequestError:
        if not found.later:
            raise
    found = await _translated(call, gathered=True)
    with found.places.named():
        return await take(call.translated(found.chat, call.unknown + found.ignored)), found


async def _translated(call: Call[ResponseBody], *, gathered: bool = False) -> Translation:
    """Large conversations are translated on a thread. Raises as `translated`."""
    wire, settings, efforts = call.wire, call.deployment.settings, call.deployment.card.efforts
    items = [] if isinstance(wire.input, str) else wire.input
    for name, found, most in (("input", items, settings.max_messages), ("tools", wire.tools or [], settings.max_tools)):
        if len(found) > most:
            message = f"{name} has {len(found)} entries, at most {most} are allowed."
            raise InvalidRequestError(message, param=name)
    if sum(memoryview(raw).nbytes for raw in (*items, *(wire.tools or ()))) <= settings.inline_bytes:
        return translated(wire, efforts, gathered=gathered)
    return await asyncio.to_thread(translated, wire, efforts, gathered=gathered)
