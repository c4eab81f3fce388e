"""POST /v1/embeddings: texts to vectors. A text's vector is the hidden state of its last token, of length 1.

The engine computes the prompt and generates nothing.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import secrets
import struct
from typing import TYPE_CHECKING

from msgspec.structs import replace
from starlette.responses import Response

from undiced.api.call import TAG, holding
from undiced.api.caller import caller_of, org_of, salted
from undiced.api.completions import check_ids, prompts_of
from undiced.api.encoding import encode
from undiced.api.meter import Counts, Wanted, metering
from undiced.api.schemas import EmbeddingBody
from undiced.api.standing import STANDING
from undiced.api.validate import salt_of
from undiced.core.errors import EngineError, InvalidRequestError
from undiced.serve import GREEDY, Delta, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request as HttpRequest
    from starlette.types import Receive, Scope, Send

    from undiced.account.keyring import Caller
    from undiced.api.deployment import Deployment
    from undiced.api.ports import Engine
    from undiced.api.service import Service
    from undiced.core.errors import UndicedError

_FORMATS = ("float", "base64")
_MOST = 2048  # texts, as OpenAI has it
_TOGETHER = 8  # sequences of one request that are in the engine's queue at a time


@holding
async def embeddings(request: HttpRequest) -> Response:
    """The vectors of a request's texts, in their order."""
    service: Service = request.app.state.service
    wire, _ = await service.bodies.load(request, EmbeddingBody, request.scope["undiced.held"])
    caller = caller_of(request.scope)
    deployment = service.admit(wire.model or "", caller)
    org_id = org_of(caller)
    salt = salted(org_id, salt_of(wire.cache_salt, service.settings))
    form = wire.encoding_format or "float"
    if form not in _FORMATS:
        raise InvalidRequestError("encoding_format must be float or base64.", param="encoding_format")
    with service.preparing():
        prompts = [await _tokens(deployment, text) for text in prompts_of(wire.input, service.settings, "input", _MOST)]
        name = f"embd-{secrets.token_hex(12)}"
        asked = Request(
            name, (), 1, GREEDY, cache_salt=salt, account=org_id, tag=request.scope.get(TAG, ""), embeds=True
        )
        requests = [replace(asked, id=f"{name}.{at}", prompt=tuple(ids)) for at, ids in enumerate(prompts)]
        tokens = sum(map(len, prompts))
        request.scope["undiced.entry"].took = {"model": deployment.card.id, "prompt_tokens": tokens}
        async with _metered(service, caller, request, deployment.card.id, tokens) as settle:
            vectors = await _vectors(deployment.engine, requests)
            _see_dimensions(wire.dimensions, len(vectors[0]))
            rows = [
                {"object": "embedding", "index": at, "embedding": _written(vector, form)}
                for at, vector in enumerate(vectors)
            ]
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            body = encode({"object": "list", "data": rows, "model": deployment.card.id, "usage": usage})
    return _Settling(body, settle)


class _Settling(Response):
    """An answer that is settled once its bytes have left: what nobody gets costs nothing, though we die before."""

    media_type = "application/json"

    def __init__(self, body: bytes, settle: Callable[[], None]) -> None:
        super().__init__(body)
        self._settle = settle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            asyncio.get_running_loop().call_soon(self._settle)


@contextlib.asynccontextmanager
async def _metered(
    service: Service, caller: Caller | None, asked: HttpRequest, model: str, tokens: int
) -> AsyncIterator[Callable[[], None]]:
    """What the block computes, as far as the caller's limits and balance cover it; what fails costs nothing. What the
    block gets settles it, later.
    """
    admit = metering(service.meter, caller, Wanted(asked.scope["undiced.request_id"], model, tokens, 0, 1))
    if admit is None:
        yield _do_nothing
        return
    bill = await admit()
    asked.scope[STANDING] = bill.headers

    def settle() -> None:
        bill.settle(Counts(tokens), "stop")
        service.metrics.organizations.of(org_of(caller)).charged(model, Counts(tokens))

    try:
        yield settle
    except BaseException:
        bill.release("error")
        raise


def _do_nothing() -> None:
    """Nobody counts."""


def _see_dimensions(asked: float | None, there: int) -> None:
    if asked is not None and asked != there:
        message = f"dimensions is {asked}; this model's vectors have {there}."
        raise InvalidRequestError(message, param="dimensions", remedy="Leave it out.")


async def _tokens(deployment: Deployment, text: str | list[int]) -> list[int]:
    if isinstance(text, str):
        ids = await deployment.prompts.text(text, "input")
    else:
        ids = check_ids(text, deployment.tokenizer.vocab_size, "input")
    deployment.prompts.room(len(ids), 1, "input")
    return ids


async def _vectors(engine: Engine, requests: list[Request]) -> list[list[float]]:
    """The vector of each request; a few run together, and all end when one fails."""
    places = asyncio.Semaphore(_TOGETHER)

    async def one(request: Request) -> list[float]:
        async with places:
            return _unit(await _hidden(engine, request))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(request)) for request in requests]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # the first is the answer's
    return [task.result() for task in tasks]


async def _hidden(engine: Engine, request: Request) -> bytes:
    hidden = b""
    ended: asyncio.Future[UndicedError | None] = asyncio.get_running_loop().create_future()

    def take(found: Delta | UndicedError) -> None:
        nonlocal hidden
        if isinstance(found, Delta):
            hidden = hidden or found.hidden
            if found.usage is None:
                return
        if not ended.done():
            ended.set_result(None if isinstance(found, Delta) else found)

    sequence = engine.submit(request, take)
    try:
        failure = await ended
    finally:
        sequence.cancel(0)
    if failure is not None:
        raise failure
    if not hidden:
        raise EngineError("The engine told no hidden state.", remedy="Send the request again.")
    return hidden


def _unit(hidden: bytes) -> list[float]:
    """The vector at length 1, as clients expect it; one of zeros stays as it is."""
    values = struct.unpack(f"<{len(hidden) // 4}f", hidden)
    length = math.sqrt(math.fsum(value * value for value in values)) or 1.0
    return [value / length for value in values]


def _written(vector: list[float], form: str) -> str | list[float]:
    return vector if form == "float" else base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
