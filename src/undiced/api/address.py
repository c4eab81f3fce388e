"""The address that a server listens at. Light to import: it is taken before anything is loaded."""

from __future__ import annotations

import errno
import socket

from undiced.core.errors import UndicedError

BACKLOG = 1024  # connections that wait to be taken


class AddressError(UndicedError):
    """The address to serve at is taken, not ours or not allowed."""

    code = "address_unavailable"
    status = 400


def bind(host: str, port: int, prefix: str = "") -> socket.socket:
    """A bound socket that does not listen yet. Port 0 takes a free one. `prefix`: of the options that say where, as
    `admin-`.

    Raises:
        AddressError: the port is in use, the address does not exist, or the port needs privileges.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise AddressError(
            f"The host '{host}' can't be resolved.", remedy=f"Use --{prefix}host 127.0.0.1 or 0.0.0.0."
        ) from error
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _address_error(host, port, error, prefix) from error
    return sock


def _address_error(host: str, port: int, error: OSError, prefix: str = "") -> AddressError:
    if error.errno == errno.EADDRINUSE:
        return AddressError(
            f"Port {port} on {host} is in use.",
            remedy=f"Stop the other server, or choose another port with --{prefix}port {port + 1}.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = f"Choose a port above 1023 with --{prefix}port."
        return AddressError(f"Port {port} on {host} needs privileges.", remedy=remedy)
    return AddressError(
        f"Can't serve at {host}:{port}: {error.strerror}.", remedy=f"Choose another address with --{prefix}host."
    )


def listen(sock: socket.socket) -> None:
    """Listening fails where another server bound the same address in the meantime."""
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        host, port = sock.getsockname()[:2]
        raise _address_error(host, port, error) from error
