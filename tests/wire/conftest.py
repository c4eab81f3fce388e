"""A running server with the packaged model, one for the session, and a narrow one that is easily overrun."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from live import Server, running


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server that most tests share."""
    with running("--max-context", "1024", "--max-batch", "8") as started:
        yield started


@pytest.fixture(scope="session")
def narrow() -> Iterator[Server]:
    """One sequence at a time, one may wait, and little patience at the end."""
    with running("--max-context", "2048", "--max-batch", "1", "--max-queue", "1", "--drain", "1") as started:
        yield started


@pytest.fixture
def start():
    """Starts servers of a test's own."""
    return running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*make, "-days", "2", *names, *files], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"
