"""Hugging Face folders: single files and shards open; pickles, lies and ways out of the folder are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors_writer import safetensors, small, write_folder

from undiced.checkpoint import HfCheckpoint
from undiced.core.errors import CheckpointError, UnsupportedError

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def sharded(folder: Path, weight_map: dict[str, object] | None = None) -> Path:
    tensors = small()
    names = list(tensors)
    first = {name: tensors[name] for name in names[:2]}
    second = {name: tensors[name] for name in names[2:]}
    truth = dict.fromkeys(first, FIRST) | dict.fromkeys(second, SECOND)
    index = {"metadata": {"total_size": 31}, "weight_map": truth if weight_map is None else weight_map}
    write_folder(folder, model__safetensors__index__json=index)
    (folder / FIRST).write_bytes(safetensors(first))
    (folder / SECOND).write_bytes(safetensors(second))
    return folder


def single(folder: Path, config: object = None) -> Path:
    return write_folder(folder, config, model__safetensors=safetensors(small()))


@pytest.mark.parametrize("make", [single, sharded])
def test_folders_open(tmp_path: Path, make: object) -> None:
    checkpoint = HfCheckpoint(make(tmp_path / "tiny"))  # type: ignore[operator]
    assert (checkpoint.kind, checkpoint.name) == ("hf", "tiny")
    assert checkpoint.metadata["model_type"] == "llama"
    assert set(checkpoint.tensors) == {"model.embed.weight", "model.norm.weight", "model.up.weight"}
    for name, info in checkpoint.tensors.items():
        view = checkpoint.raw(name)
        assert view == small()[name][2] and view.readonly and view.nbytes == info.nbytes
    checkpoint.close()


def test_digest_sees_config_and_data(tmp_path: Path) -> None:
    first = HfCheckpoint(single(tmp_path / "a")).digest
    assert HfCheckpoint(single(tmp_path / "b")).digest == first
    assert HfCheckpoint(single(tmp_path / "c", {"model_type": "gpt2"})).digest != first
    folder = single(tmp_path / "d")
    raw = bytearray((folder / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "model.safetensors").write_bytes(raw)
    assert HfCheckpoint(folder).digest != first


def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "snapshot")
    (tmp_path / "blob").write_bytes(safetensors(small()))
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    assert len(HfCheckpoint(folder).tensors) == 3


def test_missing_tensors_and_buffers_are_named(tmp_path: Path) -> None:
    checkpoint = HfCheckpoint(single(tmp_path / "tiny"))
    with pytest.raises(CheckpointError, match=r"tiny has no tensor 'lm_head\.weight'"):
        checkpoint.raw("lm_head.weight")
    with pytest.raises(UnsupportedError, match=r"'model\.attn\.bias' has the dtype 'BOOL'"):
        checkpoint.raw("model.attn.bias")


@pytest.mark.parametrize(
    "file", ["../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "a\\b.safetensors", "x\0.safetensors",
             "passwd", "", 7, None, ["x.safetensors"]],
)  # fmt: skip
def test_index_cannot_lead_out_of_the_folder(tmp_path: Path, file: object) -> None:
    (tmp_path / "x.safetensors").write_bytes(safetensors(small()))
    with pytest.raises(CheckpointError, match="no shard of this folder"):
        HfCheckpoint(sharded(tmp_path / "tiny", {"model.embed.weight": file}))


def test_index_must_tell_the_truth(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expects 'lm_head' in 'model-00001"):
        HfCheckpoint(sharded(tmp_path / "a", {"lm_head": FIRST}))
    with pytest.raises(CheckpointError, match=r"expects 'model\.up\.weight' in 'model-00001"):
        HfCheckpoint(sharded(tmp_path / "b", {"model.up.weight": FIRST, "model.attn.bias": SECOND}))
    with pytest.raises(CheckpointError, match=r"c has no 'absent\.safetensors', which its index names"):
        HfCheckpoint(sharded(tmp_path / "c", {"w": "absent.safetensors"}))
    with pytest.raises(CheckpointError, match="no weight_map"):
        HfCheckpoint(sharded(tmp_path / "d", {}))
    with pytest.raises(CheckpointError, match="513 shards"):
        HfCheckpoint(sharded(tmp_path / "e", {str(i): f"{i}.safetensors" for i in range(513)}))


def test_a_shard_that_is_not_there_is_fetched_again(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "tiny")
    (folder / SECOND).unlink()
    with pytest.raises(CheckpointError, match=f"tiny has no '{SECOND}', which its index names") as refused:
        HfCheckpoint(folder)
    assert "fetch it again" in refused.value.remedy


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "tiny")
    (folder / SECOND).write_bytes((folder / FIRST).read_bytes())
    with pytest.raises(CheckpointError, match="in two shards"):
        HfCheckpoint(folder)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", pytorch_model__bin=b"cos\nsystem\n")
    with pytest.raises(UnsupportedError, match="pickled") as caught:
        HfCheckpoint(folder)
    assert "safe_serialization" in caught.value.remedy
    with pytest.raises(UnsupportedError, match="pickled shard"):
        HfCheckpoint(sharded(tmp_path / "b", {"w": "pytorch_model.bin"}))


def test_foreign_quantization_is_named(tmp_path: Path) -> None:
    config = {"model_type": "llama", "quantization_config": {"quant_method": "bitsandbytes"}}
    with pytest.raises(UnsupportedError, match="'bitsandbytes'"):
        HfCheckpoint(single(tmp_path / "tiny", config))


def test_incomplete_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        HfCheckpoint(tmp_path / "empty")
    with pytest.raises(CheckpointError, match=r"neither .* nor model\.safetensors"):
        HfCheckpoint(write_folder(tmp_path / "weightless"))
    with pytest.raises(CheckpointError, match="no JSON object"):
        HfCheckpoint(single(tmp_path / "list", [1]))
    with pytest.raises(CheckpointError, match="Cannot list absent") as caught:
        HfCheckpoint(tmp_path / "absent")
    assert str(tmp_path) not in str(caught.value)


def without_index(folder: Path) -> Path:
    sharded(folder)
    (folder / "model.safetensors.index.json").unlink()
    return folder


def test_shards_without_an_index_are_read_if_they_are_a_whole_set(tmp_path: Path) -> None:
    assert set(HfCheckpoint(without_index(tmp_path / "a")).tensors) == {
        "model.embed.weight",
        "model.norm.weight",
        "model.up.weight",
    }
    (without_index(tmp_path / "b") / FIRST).unlink()
    with pytest.raises(CheckpointError, match=r"b lacks the shard 'model-00001-of-00002\.safetensors'"):
        HfCheckpoint(tmp_path / "b")
    other = without_index(tmp_path / "c")
    (other / "extra-00001-of-00001.safetensors").write_bytes((other / FIRST).read_bytes())
    with pytest.raises(CheckpointError, match="shards of several models"):
        HfCheckpoint(other)
    (single(tmp_path / "d") / "model.safetensors").rename(tmp_path / "d" / "weights.safetensors")
    assert len(HfCheckpoint(tmp_path / "d").tensors) == 3


def test_a_snapshot_of_the_hubs_cache_has_the_models_name(tmp_path: Path) -> None:
    folder = tmp_path / "models--Some--Tiny-1B" / "snapshots" / ("0123456789abcdef" * 3)[:40]
    folder.parent.mkdir(parents=True)
    assert HfCheckpoint(single(folder)).name == "Tiny-1B"


@pytest.mark.parametrize("config", [{"quantization_config": "awq"}, {"text_config": {"quantization_config": {}}},
                                    {"compression_config": {"quant_method": "compressed"}}])  # fmt: skip
def test_quantization_is_found_wherever_it_is_said(tmp_path: Path, config: dict[str, object]) -> None:
    with pytest.raises(UnsupportedError, match="quantized by the method"):
        HfCheckpoint(single(tmp_path / "tiny", config))


def test_a_giant_config_is_refused_unread(tmp_path: Path) -> None:
    folder = single(tmp_path / "tiny")
    with (folder / "config.json").open("r+b") as out:
        out.truncate(1 << 30)
    with pytest.raises(CheckpointError, match="1073741824 bytes"):
        HfCheckpoint(folder)
