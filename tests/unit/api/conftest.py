"""A caller of the application around a scripted engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scripted import Caller, build_caller


@pytest.fixture
def make() -> Callable[..., Caller]:
    """Builds callers; `settings` and `chat` go to the service, other keywords to the engine."""
    return build_caller


@pytest.fixture
def caller() -> Caller:
    """A caller with everything at its default."""
    return build_caller()
