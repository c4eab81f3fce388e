"""Models of the hub, from a stand-in of it: what is brought, how it is checked, what is said where it can't be had."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from safetensors_writer import safetensors, small
from support import gguf_writer
from support.hub import TOKEN, Hub, Repository, git_sha1, running_hub

from undiced.checkpoint import open_checkpoint, resolve
from undiced.checkpoint.hub_cache import cached_models, hub_cache_dir, remove
from undiced.core.errors import CheckpointError, FetchError, ModelNotFoundError, UndicedError, UnsupportedError

FOLDER = "acme/tiny"
FILES = "acme/tiny-GGUF"
PADDING = b"\0" * 300_000


def gguf(name: str = "Tiny") -> bytes:
    """A GGUF file that is large for the stand-in."""
    return gguf_writer.small().bytes() + name.encode() + PADDING


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with running_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        running.repositories[FOLDER] = Repository(
            {
                "config.json": b'{"model_type": "llama"}',
                "tokenizer.json": b"{}",
                "README.md": b"---\nlicense: mit\n---\n",
                "model.safetensors": safetensors(small()),
                "modeling_tiny.py": b"raise SystemExit('run')",
                "pytorch_model.bin": b"PK" + PADDING,
                "training_args.pt": b"PK",
                "onnx/model.onnx": PADDING,
                "consolidated.safetensors": PADDING,
            }
        )
        files = {f"tiny-{each}.gguf": gguf(each) for each in ("Q8_0", "Q4_K_M", "Q4_K_S", "IQ4_XS", "F16")}
        running.repositories[FILES] = Repository({**files, "mmproj-F16.gguf": PADDING, "deep/one.gguf": gguf("deep")})
        yield running


def test_a_folder_brings_what_its_readers_read_and_nothing_else(hub: Hub) -> None:
    checkpoint = open_checkpoint(FOLDER)
    assert checkpoint.kind == "hf" and checkpoint.name == "tiny"
    assert sorted(hub.brought()) == ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
    assert sorted(path.name for path in checkpoint.path.iterdir()) == sorted(hub.brought())


@pytest.mark.parametrize(
    ("ref", "file"),
    [
        (FILES, "tiny-Q4_K_M.gguf"),
        (f"hf:{FILES}", "tiny-Q4_K_M.gguf"),
        (f"{FILES}:q8_0", "tiny-Q8_0.gguf"),
        (f"hf:{FILES}/tiny-F16.gguf", "tiny-F16.gguf"),
        (f"hf://{FILES}/deep/one.gguf", "deep/one.gguf"),
    ],
)
def test_of_several_files_the_one_that_is_named_or_suits_is_brought(hub: Hub, ref: str, file: str) -> None:
    path = resolve(ref)
    assert hub.brought() == [file] and path.as_posix().endswith(file)
    assert open_checkpoint(ref).kind == "gguf"


def test_of_two_files_that_suit_alike_none_is_guessed(hub: Hub) -> None:
    hub.repositories[FILES].files["other-Q4_K_M.gguf"] = gguf()
    with pytest.raises(ModelNotFoundError, match=rf"2 files .* Name one as in hf:{FILES}/other-Q4_K_M\.gguf"):
        resolve(FILES)


def test_what_was_fetched_once_needs_no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = resolve(FOLDER), resolve(f"{FILES}:Q8_0")
    hub.asked.clear()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert (resolve(FOLDER), resolve(f"{FILES}:Q8_0")) == first
    assert resolve(FILES) == first[1], "of what is here the one that suits"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(FOLDER, refresh=True) == first[0]
    assert not hub.asked


def test_other_programs_find_it_in_the_cache(hub: Hub) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir

    path = resolve(FOLDER)
    found = scan_cache_dir(hub_cache_dir())
    assert [(repo.repo_id, sorted(repo.refs)) for repo in found.repos] == [(FOLDER, ["main"])] and not found.warnings
    theirs = hf_hub_download(FOLDER, "config.json", cache_dir=hub_cache_dir(), local_files_only=True)
    assert Path(theirs) == path / "config.json"


def test_a_newer_commit_is_brought_when_asked_for_and_equal_files_are_not_again(hub: Hub) -> None:
    old = resolve(FOLDER)
    hub.repositories[FOLDER].files["config.json"] = b'{"model_type": "llama", "new": 1}'
    assert resolve(FOLDER) == old
    hub.asked.clear()
    new = resolve(FOLDER, refresh=True)
    assert new != old and hub.brought() == ["config.json"]
    assert resolve(FOLDER) == new and resolve(f"{FOLDER}@{old.name}") == old


def test_broken_connections_are_gone_on_with(hub: Hub) -> None:
    hub.cuts = [100_000, 50_000]
    told: list[tuple[int, int]] = []
    path = resolve(FILES, progress=lambda done, total: told.append((done, total)))
    assert path.read_bytes() == hub.repositories[FILES].files["tiny-Q4_K_M.gguf"]
    assert hub.ranges == ["", "bytes=100000-", "bytes=150000-"]
    assert told[-1] == (path.stat().st_size,) * 2 and all(a[0] <= b[0] for a, b in pairwise(told))


def test_a_fetch_that_was_given_up_goes_on_where_it_stopped(hub: Hub) -> None:
    hub.cuts = [100_000] + [0] * 5
    with pytest.raises(FetchError, match=r"could not be read for 'tiny-Q4_K_M\.gguf'") as caught:
        resolve(FILES)
    assert "where it stopped" in caught.value.remedy and not cached_models()
    path = resolve(FILES)
    assert hub.ranges[0] == "" and set(hub.ranges[1:]) == {"bytes=100000-"}
    assert path.read_bytes() == hub.repositories[FILES].files["tiny-Q4_K_M.gguf"]


def test_a_server_that_starts_over_is_followed(hub: Hub) -> None:
    hub.cuts, hub.ignores_ranges = [100_000], True
    assert resolve(FILES).read_bytes() == hub.repositories[FILES].files["tiny-Q4_K_M.gguf"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_other_bytes_than_announced_never_get_a_place(hub: Hub, name: str) -> None:
    repository = hub.repositories[FOLDER]
    if name == "model.safetensors":
        repository.files[name] = safetensors({"big": ("F16", (150_000,), PADDING)})
    data = repository.files[name]
    wrong = b"x" * len(data)
    large = {"lfs": {"sha256": hashlib.sha256(wrong).hexdigest(), "size": len(data), "pointerSize": 1}}
    repository.announced[name] = large if name == "model.safetensors" else {"blobId": git_sha1(wrong)}
    with pytest.raises(FetchError, match=f"{name}' of acme/tiny has the checksum .* the hub says"):
        resolve(FOLDER)
    assert not cached_models()
    del repository.announced[name]
    assert open_checkpoint(FOLDER).kind == "hf"


def test_more_bytes_than_announced_are_not_kept(hub: Hub) -> None:
    hub.repositories[FOLDER].announced["config.json"] = {"size": 5}
    with pytest.raises(FetchError, match="is longer than the hub says"):
        resolve(FOLDER)


def test_names_that_lead_out_of_the_repository_are_left_out(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["acme/bad"] = Repository({"../../../../evil.gguf": gguf(), "a\nb.gguf": gguf()})
    with pytest.raises(UnsupportedError, match="neither safetensors"):
        resolve("acme/bad")
    assert not list(tmp_path.rglob("evil*"))


def test_shards_are_those_that_the_index_names(hub: Hub) -> None:
    index = b'{"weight_map": {"a": "part-a.safetensors", "b": "part-b.safetensors"}}'
    files = {f"part-{each}.safetensors": safetensors({each: next(iter(small().values()))}) for each in "abc"}
    hub.repositories["acme/parts"] = Repository({"config.json": b"{}", "model.safetensors.index.json": index, **files})
    assert set(open_checkpoint("acme/parts").tensors) == {"a", "b"}
    assert "part-c.safetensors" not in hub.brought()
    del hub.repositories["acme/parts"].files["part-b.safetensors"]
    with pytest.raises(FetchError, match=r"no 'part-b\.safetensors'"):
        resolve("acme/parts", refresh=True)


def test_pickled_weights_are_never_brought(hub: Hub) -> None:
    hub.repositories["acme/old"] = Repository({"config.json": b"{}", "pytorch_model.bin": b"PK" + PADDING})
    with pytest.raises(UnsupportedError, match="neither safetensors"):
        resolve("acme/old")
    assert not hub.brought()


def test_what_comes_passes_the_bounded_readers(hub: Hub) -> None:
    hub.repositories[FOLDER].files["config.json"] = b"[" * 100_000
    with pytest.raises(CheckpointError):
        open_checkpoint(FOLDER)


def _refusal(ref: str) -> UndicedError:
    with pytest.raises(UndicedError) as caught:
        resolve(ref)
    assert caught.value.remedy and "hf_" not in str(caught.value)
    return caught.value


def test_the_parts_of_a_model_are_one_file(hub: Hub) -> None:
    names = [f"Q4_K_M/tiny-Q4_K_M-0000{part}-of-00002.gguf" for part in (1, 2)]
    files = dict(zip(names, (part.bytes() for part in gguf_writer.parts(2)), strict=True))
    hub.repositories["acme/parts"] = Repository(files | {"tiny-F16.gguf": gguf()})
    for ref in ("acme/parts", "acme/parts:Q4_K_M", f"hf:acme/parts/{names[1]}"):
        assert [*open_checkpoint(ref).tensors] == [tensor.name for tensor in gguf_writer.small().tensors]
    assert "tiny-F16.gguf" not in hub.brought()
    (found,) = (model for model in cached_models() if model.ref.repo == "acme/parts")
    assert found.nbytes == sum(map(len, files.values())) == remove(found)
    del hub.repositories["acme/parts"].files[names[1]]
    assert f"no '{names[1]}'" in str(_refusal("acme/parts"))


def test_every_refusal_of_the_hub_says_what_to_do(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories["acme/shy"] = Repository({"a.gguf": gguf()}, private=True)
    hub.repositories["acme/gated"] = Repository({"a.gguf": gguf()}, gated=True)
    assert "a private one needs HF_TOKEN" in str(_refusal("acme/shy"))
    assert "The hub shows no acme/none" in str(_refusal("acme/none"))
    assert "no revision 'v9'" in str(_refusal(f"{FOLDER}@v9"))
    assert "is gated" in str(_refusal("acme/gated")) and "HF_TOKEN" in str(_refusal("acme/gated"))
    assert "'tiny-Q4_K_M.gguf'" in str(_refusal(f"hf:{FILES}/none.gguf"))
    assert "no file of Q2_K" in str(_refusal(f"{FILES}:Q2_K"))
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "The hub refuses acme/tiny (401)" in str(_refusal(FOLDER))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert resolve("acme/shy").exists() and resolve("acme/gated").exists()
    hub.status = 200  # and nothing said
    assert "is not a hub's. Check HF_ENDPOINT" in str(_refusal(FOLDER))
    hub.status = 503
    assert "The hub failed at acme/tiny (503)" in str(_refusal(FOLDER))


def test_a_token_is_shown_to_the_hub_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with running_hub() as other:
        other.repositories, hub.elsewhere = hub.repositories, other.url
        assert resolve(FILES).exists()
        assert other.ranges == [""] and other.tokens == {""} and hub.tokens == {f"Bearer {TOKEN}"}


def test_no_network_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "Check the network" in str(_refusal(FOLDER))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert f"undiced pull {FOLDER}" in str(_refusal(FOLDER))


def test_a_missing_library_is_said_with_the_line_that_brings_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'undiced[hub]'" in str(_refusal(FOLDER))


@pytest.mark.parametrize("ref", ["hf:", "hf:x", "hf:a/b/../c.gguf", "hf:a/b/c.bin", "hf:a/b@../x", "hf:../x"])
def test_names_of_no_model_are_refused_before_the_hub_is_asked(hub: Hub, ref: str) -> None:
    with pytest.raises(ModelNotFoundError):
        resolve(ref)
    assert not hub.asked


@pytest.mark.parametrize("ref", ["models/tiny.gguf", "./acme/tiny", "a/b/c", "acme/config.json", "/acme/tiny"])
def test_paths_are_no_names_of_the_hub(hub: Hub, ref: str) -> None:
    with pytest.raises(ModelNotFoundError, match="There is no model, file or folder"):
        resolve(ref)
    assert not hub.asked


def test_a_path_that_exists_comes_first(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / FOLDER).mkdir(parents=True)
    assert resolve(FOLDER) == Path(FOLDER) and not hub.asked


def test_for_its_sizes_a_configuration_alone_is_brought(hub: Hub) -> None:
    from undiced.checkpoint.hub_fetch import sizes_from_hub
    from undiced.checkpoint.hub_ref import HubRef

    folder = sizes_from_hub(HubRef(FOLDER))
    assert hub.brought() == ["config.json"] and sizes_from_hub(HubRef(FOLDER)) == folder
    assert not cached_models() and sizes_from_hub(HubRef(FILES)).name == "tiny-Q4_K_M.gguf"
    assert resolve(FOLDER) == folder, "the weights come when they are needed"
