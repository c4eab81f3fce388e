"""A server with the packaged model, and a browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "wire")]
from chromium import Chromium  # noqa: E402
from live import Server, running  # noqa: E402
from steps import open_page  # noqa: E402


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server whose page is looked at."""
    with running("--max-context", "2048", "--max-batch", "2", "--drain", "1") as started:
        yield started


@pytest.fixture
def browser() -> Iterator[Chromium]:
    """A fresh browser, so that nothing is remembered between tests."""
    with Chromium() as started:
        started.size(1200, 800)
        yield started


@pytest.fixture
def page(browser: Chromium, server: Server) -> Chromium:
    """A fresh browser with the page open."""
    open_page(browser, server)
    return browser
