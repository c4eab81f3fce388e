"""A running server with the packaged model, one for the session, and a narrow one that is easily overrun."""

from __future__ import annotations

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
