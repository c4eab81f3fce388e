"""The addresses of this machine at which others reach it. Asks the system; sends nothing."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from pathlib import Path

_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface, netdevice(7)
_IF_INET6 = Path("/proc/net/if_inet6")
_SHOWN = 4
_ANY = {"0.0.0.0": 4, "::": 6}


def reached_at(sock: socket.socket) -> list[str]:
    """Addresses of a bound socket for other machines, as URLs write them: the first few."""
    bound = sock.getsockname()[0]
    if bound in _ANY:
        found = _ipv4() + (_ipv6() if _ANY[bound] == 6 else [])
        return [_shown(each) for each in found][:_SHOWN]
    return [] if ipaddress.ip_address(bound.partition("%")[0]).is_loopback else [_shown(bound)]


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _ipv4() -> list[str]:
    try:
        import fcntl
    except ImportError:
        return []
    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has none
                reply = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append(socket.inet_ntoa(reply[20:24]))
    return [each for each in found if not ipaddress.ip_address(each).is_loopback]


def _ipv6() -> list[str]:
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return []
    every = [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines]
    return [str(each) for each in every if not each.is_loopback and not each.is_link_local]
