"""Requests made from the API's own description, by a tool that knows nothing else of it: none is a server's error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from live import running

pytestmark = [pytest.mark.wire, pytest.mark.model, pytest.mark.oracle]
CHECKS = "not_a_server_error,content_type_conformance"


@pytest.mark.timeout(400)
def test_thousands_of_described_requests_end_in_no_server_error() -> None:
    tool = Path(sys.executable).with_name("schemathesis")
    with running("--max-context", "512") as server:
        found = subprocess.run(
            [tool, "run", f"{server.url}/openapi.json", "--checks", CHECKS, "--max-time", "120", "--seed", "1",
             "--phases", "examples,coverage,fuzzing", "--max-examples", "15"],
            capture_output=True, text=True, check=False, timeout=360,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-1000:]
        assert "Failures:" not in found.stdout and "generated" in found.stdout
        assert httpx.get(f"{server.url}/health").status_code == 200
