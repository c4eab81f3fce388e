"""Whatever bytes a connection gets, in whatever pieces: no exception, and what is written back is HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from undiced.api.budget import Budget
from undiced.api.connection import connection_class
from undiced.api.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))
from scripted import build_caller

CALLER = build_caller(text="ok", context=200)
BODY = json.dumps({"model": "m", "prompt": "hi"}).encode()
POST = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = (
    b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (
        len(BODY),
        BODY,
    )
)
GET = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n"
TOKENS = st.sampled_from(
    [
        *(b"\r\n", b"\r\n\r\n", b": ", b"\x00", b"\xff", b"HTTP/1.0", b"HTTP/2.0", b"content-length: 99\r\n", b"-1"),
        *(b"transfer-encoding: chunked\r\n", b"connection: upgrade\r\nupgrade: websocket\r\n"),
        *(b"expect: 100-continue\r\n", b"connection: close\r\n", b"%%"),
    ]
)


class Pipe(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.ended = b"", False

    def get_extra_info(self, name, default=None):
        return default

    def is_closing(self):
        return self.ended

    def write(self, data):
        self.written += data

    def can_write_eof(self):
        return True

    def write_eof(self):
        pass

    def get_write_buffer_size(self):
        return 0

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass

    def close(self):
        self.ended = True

    abort = close


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_bytes_in_any_pieces(data):
    stream = bytearray(b"".join(data.draw(st.lists(st.sampled_from([POST, CHUNKED, GET]), min_size=1, max_size=3))))
    requests = stream.count(b"HTTP/1.1")
    damages = data.draw(st.integers(0, 4))
    for _ in range(damages):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5) | TOKENS)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))

    async def feed() -> tuple[Pipe, list[object]]:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        config = uvicorn.Config(CALLER.app, lifespan="off", ws="none", log_config=None)
        config.load()
        state, pipe = ServerState(), Pipe()
        limits = Settings(body_timeout_s=0.02, head_timeout_s=5, max_head_bytes=400)
        CALLER.service.settings = CALLER.service.bodies.settings = limits
        connection = connection_class(limits, Budget(limits))(config=config, server_state=state, app_state={})
        connection.connection_made(pipe)
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            if not pipe.ended:
                connection.data_received(bytes(stream[start:end]))
            await asyncio.sleep(0)
        while state.tasks:
            await asyncio.sleep(0.001)
        connection.connection_lost(None)
        assert not state.connections and connection._timer is None
        return pipe, failures

    pipe, failures = asyncio.run(feed())
    assert not failures
    assert not pipe.written or pipe.written.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 500" not in pipe.written
    late = pipe.written.count(b"HTTP/1.1 408")  # on a machine that is busy with something else
    assert damages or late or pipe.written.count(b"HTTP/1.1 200") == requests
    assert not CALLER.service.running
