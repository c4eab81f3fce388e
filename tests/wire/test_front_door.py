"""`undiced serve --auth`: official clients with keys of accounts, the management API beside, and what must not leak."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anthropic
import httpx
import openai
import pytest
from cerebras.cloud import sdk
from folders import make_folder
from live import Server, engines, running
from support.installation import Installation, bearer, installed
from support.markdown import blocks
from test_serve_command import COMMAND

from undiced.account.keyring import TRUST_S

PEPPER = "a-pepper-from-the-environment-" + "x" * 20
ASK = [{"role": "user", "content": "hi"}]
Start = Callable[..., "contextmanager[Server]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path) as made:
        yield made


@contextmanager
def guarded(house: Installation, folder: Path, *options: str, log: Path | None = None) -> Iterator[Server]:
    """A server that asks for the keys of an installation."""
    given = ("--auth", "--db", house.url, "--admin-port", "0", "--max-batch", "2", "--log-level", "debug", *options)
    with ExitStack() as held:
        stderr = held.enter_context(log.open("w")) if log else None
        yield held.enter_context(running(*given, model=str(folder), stderr=stderr))


def test_official_clients_use_keys_and_nothing_of_them_is_left_behind(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)
    monkeypatch.setenv("PGPASSWORD", "sesame")
    log = tmp_path / "log"
    with installed(tmp_path) as house:
        key, admin = house.key(), house.key(None, "management")
        with guarded(house, folder, log=log) as server:
            every_client(server, key)
            manage(server, house, admin)
            for child in engines(server.process.pid):
                seen = Path(f"/proc/{child}/environ").read_bytes()
                assert not any(secret.encode() in seen for secret in (PEPPER, "sesame", house.url))
    said = log.read_text()
    assert f" key={key.split('-')[1]} " in said and " path=/management/v1/orgs/acme/keys " in said
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "accounts.db" in str(path)]  # its ledger's too
    kept = said.encode() + b"".join(path.read_bytes() for path in files)
    assert not [secret for secret in house.secrets if secret.split("-", 2)[2][:43].encode() in kept]
    assert PEPPER.encode() not in kept


def every_client(server: Server, key: str) -> None:
    fields = {"model": server.model, "messages": ASK, "max_tokens": 4}
    with openai.OpenAI(base_url=server.v1, api_key=key, max_retries=0) as client:
        assert [each.id for each in client.models.list()] == [server.model]
        assert len(list(client.chat.completions.create(stream=True, **fields))) > 1
        with pytest.raises(openai.PermissionDeniedError, match="'metrics'"):
            client.get("/../metrics", cast_to=object)
    with sdk.Cerebras(base_url=server.url, api_key=key, max_retries=0) as client:
        assert client.chat.completions.create(**fields).choices
    with anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0) as client:
        assert client.messages.create(**fields).content
    with openai.OpenAI(
        base_url=server.v1, api_key=key[:-1] + ("x" if key[-1] != "x" else "y"), max_retries=0
    ) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
        assert caught.value.code == "wrong_api_key"


def manage(server: Server, house: Installation, admin: str) -> None:
    with httpx.Client(base_url=server.management, headers=bearer(admin)) as client:
        made = client.post("/orgs/acme/keys", json={"project": "default"}).json()
        house.secrets.append(made["secret"])
        assert httpx.get(f"{server.v1}/models", headers=bearer(made["secret"])).status_code == 200
        assert httpx.get(f"{server.v1}/models", headers=bearer(admin)).status_code == 401
        assert client.get("/orgs", headers=bearer(made["secret"])).status_code == 401
        twice = [("x-api-key", made["secret"]), ("x-api-key", admin)]
        assert httpx.get(f"{server.v1}/models", headers=twice).status_code == 401
        assert raw(server, b"GET http://localhost/health HTTP/1.1\r\nhost: localhost\r\n\r\n") == 200
        for target in (b"/v1/models?/health", b"//health/../v1/models", b"/health/../v1/models", b"/%68ealth%2f", b"*"):
            assert raw(server, b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\n\r\n") in (400, 401)
        assert raw(server, b"GET /v1/models HTTP/1.1\r\nhost: localhost/health?\r\n\r\n") in (400, 403)


def raw(server: Server, sent: bytes) -> int:
    """The status of what a client of bytes gets."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=10) as sock:
        sock.sendall(sent)
        return int(sock.recv(1 << 16).split()[1])


@pytest.mark.slow
def test_a_revoked_key_ends_on_every_server_that_shares_the_database(house: Installation, folder: Path) -> None:
    key, admin = house.key(), house.key("acme", "management")
    with guarded(house, folder) as one, guarded(house, folder) as other:
        assert len(house.accounts.instances.living()) == 2
        for server in (one, other):
            assert httpx.get(f"{server.v1}/models", headers=bearer(key)).status_code == 200
        place = f"{one.management}/orgs/acme/keys/{key.split('-')[1]}:revoke"
        assert httpx.post(place, headers=bearer(admin)).json()["revoked"]
        began_s = time.monotonic()
        for server in (one, other):
            while httpx.get(f"{server.v1}/models", headers=bearer(key)).status_code == 200:
                assert time.monotonic() - began_s < TRUST_S
                time.sleep(0.05)
        assert httpx.post(place.replace(one.management, other.management), headers=bearer(admin)).status_code == 200
    assert house.accounts.instances.living() == []


@pytest.mark.slow
def test_ctrl_c_ends_both_ports_over_tls_whatever_the_engine_does(
    house: Installation, folder: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    files = ("--tls-cert", str(cert), "--tls-key", str(key))
    trust = ssl.create_default_context(cafile=cert)
    with guarded(house, folder, *files) as server, httpx.Client(verify=trust) as client:
        ports = [int(url.split(":")[2].split("/")[0]) for url in (server.url, server.management)]
        for child in engines(server.process.pid):
            os.kill(child, signal.SIGKILL)
        assert client.get(server.management + "/orgs", headers=bearer(house.key(None, "management"))).status_code == 200
        assert client.get(server.url + "/v1/models", headers=bearer(house.key())).status_code == 200
        server.process.send_signal(signal.SIGINT)
        began_s = time.monotonic()
        assert server.process.wait(15) == 0
        assert time.monotonic() - began_s < 5, "clients that keep their connections hold nothing up"
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))


@pytest.mark.slow
def test_neither_half_a_request_nor_a_lock_keeps_a_server_from_ending_and_nothing_is_lost(
    house: Installation, folder: Path
) -> None:
    body = {"model": "tiny", "prompt": "hi", "max_tokens": 60, "ignore_eos": True, "stream": True}
    with guarded(house, folder) as server, sqlite3.connect(house.url, isolation_level=None) as database:
        half = socket.create_connection(("127.0.0.1", int(server.management.split(":")[2].split("/")[0])))
        half.sendall(
            f"POST /management/v1/orgs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n"
            f"authorization: Bearer {house.key(None, 'management')}\r\n\r\n{{".encode()
        )
        with httpx.stream("POST", f"{server.v1}/completions", json=body, headers=bearer(house.key())) as answer:
            lines = answer.iter_lines()
            next(lines)
            database.execute("BEGIN IMMEDIATE")
            assert [line for line in lines if line][-1] == "data: [DONE]"
        server.process.send_signal(signal.SIGTERM)
        began_s = time.monotonic()
        assert server.process.wait(20) == 0
        assert time.monotonic() - began_s < 4
        assert half.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
        half.close()
        database.execute("ROLLBACK")
        states = "SELECT state, completion_tokens FROM requests"
        assert database.execute(states).fetchall() == [("open", 0)]
        with guarded(house, folder):
            assert database.execute(states).fetchall() == [("settled", 60)]


def newer(house: Installation) -> None:
    stamp(house, "9999")


def stamp(house: Installation, revision: str) -> None:
    with sqlite3.connect(house.url) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def pepper(house: Installation) -> None:
    Path(f"{house.url}.pepper").write_text("another pepper, as long as the first one was, but another\n")


def gone(house: Installation) -> None:
    Path(f"{house.url}.pepper").unlink()


def shown(house: Installation) -> None:
    Path(f"{house.url}.pepper").chmod(0o644)


def other_program(house: Installation) -> None:
    Path(house.url).unlink()
    with sqlite3.connect(house.url) as database:
        database.execute("CREATE TABLE songs (title TEXT)")


def noise(house: Installation) -> None:
    Path(house.url).write_bytes(b"no database" * 1000)


TROUBLES = [newer, pepper, gone, shown, other_program, noise]


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda each: each.__name__)
def test_a_start_that_can_not_be_is_one_line_with_a_remedy(
    tmp_path: Path, folder: Path, trouble: Callable[[Installation], None]
) -> None:
    with installed(tmp_path) as house:
        pass
    for file in tmp_path.glob("accounts.db-*"):
        file.unlink()
    trouble(house)
    line = refused(folder, house.url)
    assert line.count(". ") >= 1 and line.endswith(".")


@pytest.mark.slow
def test_a_start_beside_a_process_that_holds_the_lock_is_refused(tmp_path: Path, folder: Path) -> None:
    with installed(tmp_path) as house, sqlite3.connect(house.url, isolation_level=None) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert " lock of " in refused(folder, house.url)
        database.execute("ROLLBACK")


def refused(folder: Path, url: str) -> str:
    """The one line that the command says instead of serving."""
    found = subprocess.run(
        [*COMMAND, str(folder), "--auth", "--db", url, "--port", "0", "--admin-port", "0"],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (1, "")
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: ")
    return line


VOLATILE = re.compile(
    r"u[ki]-[\w-]{63,}|(?<=\w_)[0-9A-Za-z]{12}\b|(?<=[\"/:])[0-9A-Za-z]{12}(?=[\":])|(?<=-)[0-9a-f]{24}\b|\b1\d{9}\b"
    r"|(?<=last_four\":\")[\w-]{4}|(?<=Key )\w{12}|(?<=seq\":)\d+|(?<=after )[\d.]+|\d+(?= threads?| MB)"
)


@pytest.mark.slow
@pytest.mark.model
def test_what_the_page_about_accounts_shows_is_what_happens(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "accounts.md"
    consoles = [block for block in blocks(page) if block.language == "console"]
    begins = ("$ KEY=", "$ curl -s localhost:8000/v1/models", "$ M=")
    keys, asked, managed = (next(one for one in consoles if one.text.startswith(begin)) for begin in begins)
    environment = {**os.environ, "UNDICED_DB": str(tmp_path / "accounts.db")}
    undiced = [sys.executable, "-c", "from undiced.cli import main; main()"]
    subprocess.run([*undiced, "org", "create", "acme"], env=environment, check=True, capture_output=True)
    said: list[str] = []
    for command, shown in typed(keys.text):
        if "undiced serve" in command:
            continue
        words = shlex.split(command.partition("$(undiced")[2].removesuffix(")"))
        made = subprocess.run([*undiced, *words], env=environment, check=True, capture_output=True, text=True)
        environment[command.partition("=")[0]] = made.stdout.strip()
        said.append(compared(made.stderr, shown))
    options = ("--auth", "--db", environment["UNDICED_DB"], "--admin-port", "0", "--max-context", "1024")
    with running(*options) as server:
        ids: list[tuple[str, str]] = [("http://127.0.0.1:8001/management/v1", server.management)]
        ids.append(("localhost:8000", server.url))
        for command, shown in (*typed(asked.text), *typed(managed.text)):
            for known, real in ids:
                command = command.replace(known, real)
            if command.startswith("M="):
                environment["M"] = command.partition("=")[2]
                continue
            found = subprocess.run(["bash", "-c", command], env=environment, check=True, capture_output=True, text=True)
            said.append(compared(found.stdout, shown))
            for name in (r'"secret":"([^"]+)"', r'"id":"(\w+)"'):  # what commands that follow name again
                ids += zip(re.findall(name, shown)[:1], re.findall(name, found.stdout)[:1], strict=False)
    assert len(said) == 11 and not any(said), "\n".join(said)


def typed(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, and what it shows."""
    for part in re.split(r"^\$ ", text.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def compared(found: str, shown: str) -> str:
    """What differs beyond ids, secrets and times, if anything does; dots in the middle or at the end stand for more."""
    rest = VOLATILE.sub("*", found.replace("\n", ""))
    for part in filter(None, map(str.strip, VOLATILE.sub("*", shown.replace("\n", "")).split(" ..."))):
        before, is_there, rest = rest.partition(part)
        if not is_there:
            return f"{part!r} is not in {before!r}"
    return ""
