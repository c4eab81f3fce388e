"""The endpoints of the Messages API: a body is translated to a chat request, and its answer is told as a message."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.api.anthropic.events import MessageWriter
from undiced.api.anthropic.schemas import CountBody, MessagesBody
from undiced.api.anthropic.translate import blocks_in, translated
from undiced.api.call import Call, holding, receive
from undiced.api.countings import count_counting
from undiced.api.encoding import encode
from undiced.api.turn import prompt_tokens, turn_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.api.anthropic.translate import Translated
    from undiced.api.schemas import ChatBody

_BLOCKS_INLINE = 512  # more are translated on a thread
_BETA = "?beta"  # clients ask for the same with it


@holding
async def messages(request: Request) -> Response:
    """POST /v1/messages."""
    call, means = await _received(request, MessagesBody)
    with means.places.named():
        turn = await turn_of(call, "msg_" + secrets.token_hex(12), cut=True, mixed=True)
    job, most = turn.named(means.places), turn.job.usual_tokens
    return call.answer(job, turn.name, turn.choices, lambda head: MessageWriter(head, omits=means.omits, most=most))


@holding
async def count_tokens(request: Request) -> Response:
    """POST /v1/messages/count_tokens: how long the prompt of a message is."""
    call, means = await _received(request, CountBody)
    await count_counting(request, call.deployment.card.id)
    with means.places.named():
        count = await prompt_tokens(call, mixed=True)
    return Response(encode({"input_tokens": count}), media_type="application/json")


async def _received(request: Request, kind: type[CountBody]) -> tuple[Call[ChatBody], Translated]:
    call = await receive(request, kind)
    efforts = call.deployment.card.efforts
    if blocks_in(call.wire) <= _BLOCKS_INLINE:
        means = translated(call.wire, efforts)
    else:
        means = await asyncio.to_thread(translated, call.wire, efforts)
    known = tuple(name for name in call.unknown if name != _BETA)
    return call.translated(means.body, (*known, *means.skipped)), means
