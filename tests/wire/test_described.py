"""Requests made from the API's own description, by a tool that knows nothing else of it: none is a server's error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from folders import make_folder
from live import running
from support.installation import bearer, installed

pytestmark = [pytest.mark.wire, pytest.mark.model, pytest.mark.oracle]
CHECKS = "not_a_server_error,content_type_conformance"
ITS_OWN_END = ("revokeOperatorKey", "rotateOperatorKey")  # the key that the tool comes with would be among them
MANAGEMENT_CHECKS = f"{CHECKS},status_code_conformance,response_schema_conformance,ignored_auth"


@pytest.mark.timeout(400)
def test_thousands_of_described_requests_end_in_no_server_error(tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("schemathesis")
    with running("--max-context", "512") as server:
        found = subprocess.run(
            [tool, "run", f"{server.url}/openapi.json", "--checks", CHECKS, "--max-time", "120", "--seed", "1",
             "--phases", "examples,coverage,fuzzing", "--max-examples", "15"],
            capture_output=True, text=True, check=False, timeout=360, cwd=tmp_path,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-1000:]
        assert "Failures:" not in found.stdout and "generated" in found.stdout
        assert httpx.get(f"{server.url}/health").status_code == 200


@pytest.mark.timeout(400)
def test_thousands_of_requests_to_the_management_api_end_in_no_server_error(tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("schemathesis")
    folder = make_folder(tmp_path / "tiny")
    with installed(tmp_path) as house:
        key = house.key(None, "management")
        options = ("--auth", "--db", house.url, "--admin-port", "0", "--max-batch", "2", "--log-level", "error")
        with running(*options, model=str(folder)) as server:
            place = server.management.replace("/v1", "/openapi.json")
            found = subprocess.run(
                [tool, "run", place, "--checks", MANAGEMENT_CHECKS, "--max-time", "120", "--seed", "1",
                 "--header", f"Authorization: Bearer {key}", "--phases", "examples,coverage,fuzzing",
                 "--max-examples", "15", *(f"--exclude-operation-id={name}" for name in ITS_OWN_END)],
                capture_output=True, text=True, check=False, timeout=360, cwd=tmp_path,
            )  # fmt: skip
            assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-1000:]
            assert "Failures:" not in found.stdout and "generated" in found.stdout
            assert httpx.get(server.management + "/orgs", headers=bearer(key)).json()["object"] == "list"
