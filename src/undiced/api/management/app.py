"""The application of the management API, for a port of its own: its ways, and what they are in OpenAPI."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.api.edge import application
from undiced.api.encoding import encode
from undiced.api.management.acts import ACTS
from undiced.api.management.openapi import document
from undiced.api.ways import ANY_KEY, OPEN, Way

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from undiced.api.key import Guard
    from undiced.api.management.office import Office
    from undiced.api.settings import Settings

DESCRIBED = "/management/openapi.json"


def build_management(office: Office, settings: Settings, guard: Guard, version: str) -> Starlette:
    """The application. `settings`: bounds, and the hosts that it is known as; no page of another site may use it."""
    described = encode(document(version))

    async def describe(request: Request) -> Response:
        """GET /management/openapi.json."""
        return Response(described, media_type="application/json")

    ways = (
        *(Way(act.method, act.path, act.needs, office.endpoint(act)) for act in ACTS),
        Way("GET", DESCRIBED, ANY_KEY, describe),
        Way("GET", "/health", OPEN, _health),  # supervisors look at it
    )
    return application(ways, replace(settings, origins=None), guard, described=DESCRIBED)


async def _health(request: Request) -> Response:
    return Response(encode({"status": "ok"}), media_type="application/json")
