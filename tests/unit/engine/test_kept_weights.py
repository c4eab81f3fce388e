"""Packed weights that are kept: the next start answers with the same bits; what is not surely those is packed anew."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from support import tiny_models

from undiced import _native
from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.checkpoint.cache import forget_packed, model_path, packed_dir
from undiced.checkpoint.catalog import CATALOG
from undiced.checkpoint.removal import remove
from undiced.compiler import compile
from undiced.core.plain import ints, table
from undiced.core.sampling import Sampling
from undiced.engine import keeping
from undiced.engine.backend import PlainStep, SlotState
from undiced.engine.host import HostBackend
from undiced.engine.kept import MOST_OF_A_FILE, VARIABLE, KeptWeights, chunks, head_bytes
from undiced.engine.row import row_of
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds, HostProgram

Bits = tuple[list[float], int]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[HostProgram, Checkpoint]:
    folder = tmp_path_factory.mktemp("llama")
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case("llama"), folder))
    return compile(build(checkpoint), host(2), Bounds(1, 64)), checkpoint


class Start:
    """Starts of a model whose weights are kept in a folder of the test's own."""

    def __init__(self, tiny: tuple[HostProgram, Checkpoint], file: Path) -> None:
        self.program, self.checkpoint = tiny
        self.file, self.folder = file, packed_dir()

    def kept(self) -> KeptWeights:
        """Of the file, which stands for a GGUF file."""
        stands = SimpleNamespace(path=self.file, kind="gguf")
        return KeptWeights(stands, self.program.slots, least=0)

    def backend(self) -> HostBackend:
        return HostBackend(self.program, self.checkpoint, pages=4, kept=self.kept())

    def __call__(self) -> tuple[Bits, bool]:
        """The bits of an answer, and whether the weights were packed; returns when they are kept, if they are to be."""
        backend = self.backend()
        try:
            return answer(backend), backend.packed
        finally:
            backend.close()

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir()) if self.folder.exists() else []


def answer(backend: HostBackend) -> Bits:
    """The likeliest tokens' log-probabilities behind a token, and the token."""
    row = memoryview(row_of(0, Sampling(temperature=0.0, logprobs=20)))
    backend.open_slot(0, SlotState())
    step = PlainStep(ints([3]), ints([0]), ints([0, 1]), ints([0]), table(ints([0]), 1), ints([0]), row)
    out = backend.collect(backend.submit(step))
    likeliest: list[float] = list(out.top_logprobs.tolist()[0])
    return likeliest, int(out.tokens.tolist()[0])


@pytest.fixture
def start(tiny: tuple[HostProgram, Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    monkeypatch.setenv("UNDICED_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(keeping, "_WRITE_PAUSE_S", 0.001)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"stands for one")
    return Start(tiny, file)


def test_the_second_start_packs_nothing_and_answers_with_the_same_bits(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, packed = start()
    assert packed and len(start.files) == 1
    monkeypatch.setattr(HostBackend, "_load", None)  # would fail
    assert start() == (first, False)
    assert len(start.files) == 1


def test_weights_leave_their_file_behind_the_first_answer(start: Start) -> None:
    first, _ = start()
    [file] = start.files
    backend = start.backend()
    assert not backend.packed and answer(backend) == first
    assert backend._behind is not None
    backend._behind.wait()
    file.write_bytes(b"")  # would end the process if anything still looked at it
    assert answer(backend) == first
    backend.close()


def test_only_its_owner_may_read_or_write_it(start: Start) -> None:
    start()
    [file] = start.files
    assert (start.folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def flipped(at: int) -> Callable[[bytearray], bytes]:
    def change(data: bytearray) -> bytes:
        data[at] ^= 1
        return bytes(data)

    return change


@pytest.mark.parametrize(
    "change",
    [flipped(0), flipped(25), flipped(85), flipped(100), flipped(65_536), flipped(100_000), flipped(-1),
     lambda data: data[:-1], lambda data: data + b"x", lambda data: b"", lambda data: bytes(len(data))],
    ids=["magic", "key", "sum", "digest", "first", "middle", "last", "short", "long", "empty", "zeros"],
)  # fmt: skip
def test_a_damaged_file_is_replaced(start: Start, change: Callable[[bytearray], bytes]) -> None:
    first, _ = start()
    [file] = start.files
    good = file.read_bytes()
    file.write_bytes(change(bytearray(good)))
    assert start() == (first, True)
    assert start.files == [file] and file.read_bytes() == good


@pytest.mark.parametrize("other", ["link", "folder", "pipe", "shared"])
def test_what_is_no_file_of_ones_own_is_not_read(start: Start, other: str) -> None:
    first, _ = start()
    [file] = start.files
    moved = file.rename(start.file.with_name("elsewhere"))
    if other == "link":
        file.symlink_to(moved)
    elif other == "folder":
        file.mkdir()
    elif other == "pipe":
        os.mkfifo(file)
    else:
        moved.rename(file).chmod(0o666)
    assert start() == (first, True)


def test_a_folder_that_others_may_write_to_is_left_alone(start: Start) -> None:
    start.folder.mkdir(parents=True)
    start.folder.chmod(0o777)
    assert start()[1] and not start.files


def test_another_file_another_program_and_another_build_have_other_weights(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {start.kept().key}
    start.file.write_bytes(b"written to")
    keys.add(start.kept().key)
    start.program = replace(start.program, slots=start.program.slots[:-1])
    keys.add(start.kept().key)
    monkeypatch.setattr("undiced.engine.kept.files_of", lambda folders: [("changed.py", 1, 1)])
    keys.add(start.kept().key)
    assert len(keys) == 4 and None not in keys


def test_a_model_that_changes_while_it_is_kept_is_not_kept(start: Start) -> None:
    backend = start.backend()
    answer(backend)
    start.file.write_bytes(b"somebody wrote to it")
    backend.close()
    assert not start.files


def test_nothing_is_kept_before_an_answer_or_for_a_warm_up(start: Start) -> None:
    backend = start.backend()
    backend.warm_up()
    backend.close()
    assert not start.files


def test_an_end_while_much_is_left_keeps_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_LAST_CHUNKS", 0)
    monkeypatch.setattr(keeping, "_WRITE_PAUSE_S", 60)
    assert start()[1] and not start.files


def test_an_end_while_little_is_left_writes_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_WRITE_PAUSE_S", 60)
    assert start()[1] and len(start.files) == 1


def test_two_starts_at_once_keep_one_file(start: Start) -> None:
    found: list[tuple[Bits, bool]] = []
    both = [threading.Thread(target=lambda: found.append(start())) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert found[0][0] == found[1][0] and len(start.files) == 1
    assert start() == (found[0][0], False)


@pytest.mark.parametrize("value", ["0", "-1", "none"])
def test_it_can_be_switched_off(start: Start, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert start() == (start()[0], True) and not start.files


def test_a_file_that_is_too_large_or_too_small_or_has_no_room_is_not_kept(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = start.kept()
    file = kept.room(1000)
    assert file is not None and kept.room(3 << 30) is None
    os.close(file)
    monkeypatch.setattr("undiced.engine.kept._FREE_SHARE", 1 << 50)
    assert kept.room(1000) is None
    stands = SimpleNamespace(path=start.file, kind="gguf")
    usual = KeptWeights(stands, start.program.slots)
    backend = HostBackend(start.program, start.checkpoint, pages=4, kept=usual)
    answer(backend)
    backend.close()
    assert not start.files


def test_folders_and_parts_of_a_model_are_not_kept(start: Start) -> None:
    for path, kind in ((start.file.parent, "hf"), (start.file.with_name("m-00001-of-00002.gguf"), "gguf")):
        stands = SimpleNamespace(path=path, kind=kind)
        assert KeptWeights(stands, start.program.slots).key is None


def test_a_model_that_is_removed_takes_them_with_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start.file = model_path(CATALOG["smollm2-135m"])
    start.file.parent.mkdir(parents=True)
    start.file.write_bytes(b"stands for one")
    start()
    assert len(start.files) == 1
    assert remove("smollm2-135m") == len(b"stands for one")
    assert not start.files


def filled(folder: Path, names: Iterator[str]) -> list[Path]:
    files = []
    for age, name in enumerate(names):
        file = folder / f"{name}.weights"
        file.write_bytes(bytes(600_000))
        os.utime(file, (age, age))
        files.append(file)
    return files


def test_the_oldest_go_first(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start()
    [own] = start.files
    own.unlink()
    old = filled(start.folder, (f"{own.name[:17]}{at}" for at in range(MOST_OF_A_FILE + 1)))
    start()
    assert [file.exists() for file in (own, *old)] == [True, False, False, *[True] * (MOST_OF_A_FILE - 1)]
    for file in start.files:
        file.unlink()
    monkeypatch.setenv(VARIABLE, "2")
    others = filled(start.folder, (f"other{at}-x" for at in range(4)))
    start()
    assert [file.exists() for file in others] == [False] * 2 + [True] * 2 or sum(f.exists() for f in others) < 4
    assert own.exists() and sum(file.stat().st_size for file in start.files) <= 2_000_000


def test_use_makes_it_young_and_a_removed_model_leaves_nothing(start: Start) -> None:
    start()
    [file] = start.files
    os.utime(file, (1, 1))
    start()
    assert file.stat().st_mtime > 1
    other = start.folder / "another-model.weights"
    other.write_bytes(b"")
    forget_packed(start.file)
    assert start.files == [other]


def sum_of(data: bytes) -> int:
    """The sum as kept.h describes it, word by word."""
    factor, mask = 0x9E3779B97F4A7C15, (1 << 64) - 1

    def mixed(lane: int, word: int) -> int:
        lane ^= word
        return (lane << 29 | lane >> 35) * factor & mask

    lanes = [(i + 1) * factor & mask for i in range(8)]
    padded = data + bytes(-len(data) % 64)
    for at in range(0, len(padded), 8):
        lane = at // 8 % 8
        lanes[lane] = mixed(lanes[lane], int.from_bytes(padded[at : at + 8], "little"))
    total = len(data)
    for lane in lanes:
        total = mixed(total & mask, lane)
    return total & mask


def test_sums_are_those_of_an_obvious_loop(start: Start) -> None:
    start()
    [file] = start.files
    data, nbytes = file.read_bytes(), file.stat().st_size
    nbytes -= head_bytes(nbytes)
    assert chunks(nbytes) == 1 and nbytes < _native.KEPT_CHUNK
    head = len(data) - nbytes
    assert int.from_bytes(data[18 + 64 : 18 + 64 + 8], "little") == sum_of(data[head:])
