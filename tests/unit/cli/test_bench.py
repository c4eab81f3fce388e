"""`undiced bench engine` on a tiny model: a table, JSON, a picture, and what it refuses."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from support import hostile, tiny_models
from support.commands import run

from undiced import _native
from undiced.core.errors import CannotWriteError, InvalidRequestError, ModelNotFoundError, UnsupportedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_models.make_folder(tiny_models.load_case("llama"), tmp_path_factory.mktemp("bench") / "tiny"))


def test_it_prints_every_work_that_fits_and_draws_them(folder: str, tmp_path: Path) -> None:
    picture = tmp_path / "roofline.svg"
    said = run("bench", "engine", folder, "--rounds", "1", "--threads", "1", "-o", str(picture))
    for word in ("decode ", "8 together", "32 together", "GB/s streaming", "1 thread", str(picture)):
        assert word in said
    assert "prefill 512: left out, the model's context is shorter." in said
    texts = [
        "".join(each.itertext()) for each in ET.fromstring(picture.read_text()).iter() if each.tag.endswith("text")
    ]
    for word in ("decode", "8 together", "32 together", "limit", "operations a byte"):
        assert any(word in text for text in texts), word


def test_json_has_shares_that_follow_from_what_it_says(folder: str) -> None:
    found = json.loads(run("bench", "engine", folder, "--rounds", "2", "--work", "together", "--json"))
    assert [one["work"] for one in found["works"]] == ["8 together", "32 together"] and found["rounds"] == 2
    assert found["left_out"] == [] and found["weight_bytes"] > 0 and found["isa"] == _native.isa_detect()
    for one in found["works"]:
        assert 0 < one["low"] <= one["tokens_per_second"] <= one["high"]
        assert 0 < one["share"] < 1 and one["bound"] in ("memory", "arithmetic")
        assert one["intensity"] == pytest.approx(one["operations_per_s"] / one["bytes_per_s"])


def test_what_int8_keys_and_values_change_is_said(tmp_path: Path) -> None:
    folder = tiny_models.make_folder(tiny_models.load_case("qwen3"), tmp_path / "tiny")
    (folder / "tokenizer.json").write_text(json.dumps(hostile.tokenizer()))
    asked = ("bench", "engine", str(folder), "--rounds", "1", "--work", "8", "--kv-type", "int8")
    (near,) = json.loads(run(*asked, "--json"))["nearness"]
    assert near["predictions"] > 0 and 0 < near["mean_kl"] < 0.1 and 0 < near["top1"] <= 1
    assert f"position {near['reach']}" in run(*asked)


def test_a_level_may_be_named(folder: str) -> None:
    found = json.loads(run("bench", "engine", folder, "--rounds", "1", "--work", "8", "--isa", "portable", "--json"))
    assert found["isa"] == "portable" and found["limits"]["operations_per_s"] > 0
    with pytest.raises(UnsupportedError, match="'abacus'"):
        run("bench", "engine", folder, "--isa", "abacus")


def test_what_can_not_be_measured_is_refused_before_anything_long(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="No work has 'nap'") as refused:
        run("bench", "engine", folder, "--work", "nap")
    assert "decode at 1,024" in refused.value.remedy
    with pytest.raises(InvalidRequestError, match="128 positions"):
        run("bench", "engine", folder, "--work", "prefill")
    with pytest.raises(InvalidRequestError, match="neither"):
        run("bench", "engine", folder, "-o", str(tmp_path / "roofline.txt"))
    with pytest.raises(CannotWriteError):
        run("bench", "engine", folder, "-o", str(tmp_path / "nowhere" / "roofline.svg"))
    with pytest.raises(ModelNotFoundError):
        run("bench", "engine", "no-such-model")
