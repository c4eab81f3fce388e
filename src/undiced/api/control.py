"""POST /v1/chat/completions/control: what can be asked of an answer that runs. There is one thing: to think no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.api.caller import caller_of, org_of
from undiced.api.encoding import encode
from undiced.api.errors import NotFoundError
from undiced.api.schemas import Control
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.api.service import Service

END = "reasoning_end"


async def control(request: Request) -> Response:
    """End the thoughts of an answer; one of another organization is as if it were not there. `ended` says of how many
    of its choices.
    """
    service: Service = request.app.state.service
    with service.bodies.budget.hold() as held:
        wire, _ = await service.bodies.load(request, Control, held)
    if wire.action != END:
        raise InvalidRequestError(f"action must be {END}.", param="action")
    answer = service.answers.get(wire.id)
    if answer is None or answer.org_id != org_of(caller_of(request.scope)):
        raise NotFoundError(f"No answer '{wire.id[:64]}' is running.", remedy="Send the id of its chunks.", param="id")
    told = {"id": wire.id, "action": wire.action, "ended": answer.end_thoughts()}
    return Response(encode(told), media_type="application/json")
