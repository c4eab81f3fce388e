"""An installation that a file's tests share, its management API, and two who use it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.installation import Installation, installed

sys.path.insert(0, str(Path(__file__).parent))
from managed import Client, application


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    with installed(tmp_path_factory.mktemp("accounts")) as made:
        yield made, application(made)


@pytest.fixture
def house(shared) -> Installation:
    return shared[0]


@pytest.fixture
def app(shared) -> object:
    return shared[1]


@pytest.fixture
def operator(house, app) -> Client:
    return Client(app, house.key(None, "management"))


@pytest.fixture
def admin(house, app) -> Client:
    return Client(app, house.key("acme", "management"))
