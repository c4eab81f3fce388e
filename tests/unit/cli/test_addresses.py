"""The addresses that a server names for others."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from undiced.cli.serving.addresses import reached_at


def bound(family: socket.AddressFamily, host: str) -> socket.socket:
    sock = socket.socket(family)
    try:
        sock.bind((host, 0))
    except OSError:
        sock.close()
        pytest.skip(f"this machine has no {host}")
    return sock


def test_loopback_is_for_nobody_else() -> None:
    with bound(socket.AF_INET, "127.0.0.1") as sock:
        assert reached_at(sock) == []


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])
def test_each_that_is_named_for_all_addresses_leads_here(family: socket.AddressFamily, host: str) -> None:
    with bound(family, host) as sock:
        sock.listen()
        for address in reached_at(sock):
            parsed = ipaddress.ip_address(address.strip("[]"))
            assert not parsed.is_loopback and ("[" in address) == (parsed.version == 6)
            with socket.create_connection((str(parsed), sock.getsockname()[1]), timeout=5):
                pass


def test_one_address_is_shown_as_it_is() -> None:
    with bound(socket.AF_INET, "0.0.0.0") as every:
        for address in reached_at(every)[:1]:
            with bound(socket.AF_INET, address) as sock:
                assert reached_at(sock) == [address]
