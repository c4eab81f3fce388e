"""Engine clients for tests: started, and closed whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from undiced.engine.load import BackendOptions
from undiced.remote.client import EngineClient
from undiced.remote.spec import EngineSpec
from undiced.serve import Policy


def fake_spec(fields: str = "", *, max_waiting: int = 256) -> EngineSpec:
    """An engine process with a fake backend; `fields` as `support.fake.open_fake` reads them."""
    return EngineSpec(BackendOptions(checkpoint=fields), Policy(max_waiting=max_waiting), "support.fake:open_fake")


@asynccontextmanager
async def started(spec: EngineSpec, **options: object) -> AsyncIterator[EngineClient]:
    """A client whose engine is loaded; `options` as `EngineClient` takes them."""
    client = EngineClient(spec, **options)  # type: ignore[arg-type]
    await client.start()
    try:
        yield client
    finally:
        await client.close()
