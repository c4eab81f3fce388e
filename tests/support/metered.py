"""An application behind keys whose requests are metered on a ledger, for tests without sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from undiced.api.app import build_app
from undiced.api.meter import open_meter
from undiced.api.register import KeyGuard, Register
from undiced.api.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.installation import Installation

    from undiced.api.deployment import Deployment


@contextmanager
def metered(
    house: Installation, deployments: Sequence[Deployment], *, allow: bool = False, **settings: object
) -> Iterator[Service]:
    """A service, with its application as `app`. `allow`: requests run while the database is away."""
    meter = open_meter(house.accounts, house.accounts.instances.start().id, allow=allow)
    service = Service(deployments, meter=meter, **settings)  # type: ignore[arg-type]
    try:
        yield service
    finally:
        meter.close()


def behind_keys(house: Installation, service: Service):  # type: ignore[no-untyped-def]
    """Its application, for keys for inference."""
    return build_app(service, KeyGuard(Register(house.accounts), "inference"))
