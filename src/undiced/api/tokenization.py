"""Token ids of texts, texts of token ids, and how long a conversation is. Nothing here reaches an engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.api.call import holding
from undiced.api.caller import caller_of
from undiced.api.completions import check_ids, detokenized
from undiced.api.countings import count_counting
from undiced.api.encoding import encode
from undiced.api.schemas import DetokenizeBody, TokenizeBody
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.api.service import Service


@holding
async def tokenize(request: Request) -> Response:
    """POST /v1/tokenize, as vLLM has it."""
    service: Service = request.app.state.service
    wire, _ = await service.bodies.load(request, TokenizeBody, request.scope["undiced.held"])
    deployment = service.admit(wire.model or "", caller_of(request.scope))
    await count_counting(request, deployment.card.id)
    tokenizer = deployment.tokenizer
    with service.preparing():
        ids = await deployment.prompts.whole(wire.prompt)
    if wire.add_special_tokens is False and tokenizer.add_bos and ids[:1] == [tokenizer.bos_id]:
        ids = ids[1:]
    told: dict[str, object] = {"count": len(ids), "max_model_len": deployment.card.context, "tokens": ids}
    if wire.return_token_strs:
        told["token_strs"] = await asyncio.to_thread(lambda: [tokenizer.token_text(token) for token in ids])
    return Response(encode(told), media_type="application/json")


@holding
async def detokenize(request: Request) -> Response:
    """POST /v1/detokenize, as vLLM has it."""
    service: Service = request.app.state.service
    wire, _ = await service.bodies.load(request, DetokenizeBody, request.scope["undiced.held"])
    deployment = service.admit(wire.model or "", caller_of(request.scope))
    await count_counting(request, deployment.card.id)
    if len(wire.tokens) > deployment.card.context:
        message = f"tokens has {len(wire.tokens)} entries; at most {deployment.card.context} are read."
        raise InvalidRequestError(message, param="tokens", remedy="Send fewer at a time.")
    ids = check_ids(wire.tokens, deployment.tokenizer.vocab_size, "tokens")
    text = detokenized(deployment.tokenizer, ids, wire.skip_special_tokens is False)
    return Response(encode({"prompt": text}), media_type="application/json")
