"""A relay: an address that stays while the server behind it is killed and another one takes its place. Bytes pass as
they are; who comes while there is no server waits until there is.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

_CHUNK_BYTES = 65_536
_WAIT_S = 60.0


class Relay:
    """See the file's head. `url`: where it is."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._there = threading.Event()
        self._behind = ("", 0)
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, url: str | None) -> None:
        """Where to from now on; None: nowhere yet."""
        self._there.clear()
        if url is not None:
            parts = urlsplit(url)
            self._behind = (str(parts.hostname), int(parts.port or 0))
            self._there.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self._there.wait(_WAIT_S)
            with socket.create_connection(self._behind) as server:
                back = threading.Thread(target=_pass, args=(server, client), daemon=True)
                back.start()
                _pass(client, server)
                back.join()

    def close(self) -> None:
        """Accept nobody any more."""
        self._listening.close()


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, and its end; either end ends both ways."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay() -> Iterator[Relay]:
    """For as long as it is needed."""
    made = Relay()
    try:
        yield made
    finally:
        made.close()
