"""Machines by name and from files: what is accepted, and what each bad file is told."""

import os
from pathlib import Path

import pytest

from undiced.core.errors import CompileError
from undiced.machine import find_machine
from undiced.machine.constant import PROVENANCES

GOOD = """base = "wse3"
[mesh]
width = 100
[core]
sram_bytes = {value = 65536, provenance = "published", source = "me"}
"""


@pytest.mark.parametrize("name", ["wse1", "wse2", "wse3", "WSE3", "toy-8x4"])
def test_every_constant_says_where_it_comes_from(name):
    for field, constant in find_machine(name).constants():
        assert constant.provenance in PROVENANCES, field
        assert constant.unit and constant.source, field
        low, high = constant.span
        assert low <= constant.value <= high, field
        assert constant.provenance != "assumed" or constant.low is not None, field


def test_toy_is_x_by_y_with_a_mebibyte_a_core():
    toy = find_machine("toy-8x4")
    assert (toy.mesh.width.value, toy.mesh.height.value, toy.core.sram_bytes.value) == (8, 4, 1 << 20)
    assert find_machine("toy-8x4:48K").core.sram_bytes.value == 48 * 1024
    assert find_machine("toy-8x4").digest != find_machine("toy-4x8").digest


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "colors"),
    [("wse2", (6, 6, 4, 4, 2, 2, 2, 2), (2, 2, 6, 6, 2, 2, 0, 0), 24), ("wse3", (8, 8, 4, 4, 4, 4, 4, 4), (8,) * 8, 1)],
)
def test_queues_are_as_deep_as_published(name, inputs, outputs, colors):
    queues = find_machine(name).queues
    assert tuple(getattr(queues, f"input_{i}_words").value for i in range(8)) == inputs
    assert tuple(getattr(queues, f"output_{i}_words").value for i in range(8)) == outputs
    assert queues.output_colors.value == colors


def test_rates_by_operation():
    two, three = find_machine("wse2").core, find_machine("wse3").core
    assert [core.fp32_multiply_per_cycle.value for core in (two, three)] == [1, 1]
    assert [core.lanes_32bit.value for core in (two, three)] == [2, 4]
    assert (two.fp16_maximum_per_cycle.value, three.fp16_maximum_per_cycle.value) == (1, 8)
    assert (two.cache_bytes.value, three.cache_bytes.value) == (256, 512)


@pytest.mark.parametrize("name", ["wse9", "toy-0x4", "toy-9999x1", "toy-4x4:1", "missing.toml", ""])
def test_unknown_or_absurd_names_have_a_remedy(name):
    with pytest.raises(CompileError) as caught:
        find_machine(name)
    assert caught.value.remedy


def test_a_file_overrides_its_base(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    mine = find_machine(str(path))
    assert mine.name == "mine"
    assert mine.mesh.width.value == 100
    assert mine.mesh.width.provenance == "assumed"
    assert mine.core.sram_bytes.source == "me"
    assert mine.mesh.height.value == find_machine("wse3").mesh.height.value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[core]\nsram_bytes = 49152\n", "lacks"),
        ('base = "wse3"\n[core]\nsram = 1\n', "no field 'sram'"),
        ('base = "wse3"\n[core]\nsram_bytes = -5\n', "absurd"),
        ('base = "wse3"\n[core]\nread_bank_modulus = 6\n', "does not fit 8 banks"),
        ('base = "wse3"\n[core]\nsram_banks = 6\n', "does not fit 6 banks"),
        ('base = "wse3"\n[core]\nread_bank_modulus = 4.5\n', "whole number"),
        ('base = "wse3"\n[queues]\ninput_0_words = 2.5\n', "whole number"),
        ('base = "wse3"\n[queues]\ninput_0_words = 9999\n', "absurd"),
        ('base = "wse3"\n[mesh]\nwidth = 1e30\n', "absurd"),
        ('base = "wse3"\n[mesh]\nwidth = nan\n', "finite"),
        ('base = "wse3"\n[mesh]\nwidth = "wide"\n', "number"),
        ('base = "wse3"\n[mesh]\nwidth = true\n', "number"),
        ('base = "wse3"\n[mesh]\nwidth = {provenance = "measured"}\n', "needs value"),
        ('base = "wse3"\n[mesh]\nwidth = {value = 4, provenance = "rumor"}\n', "rumor"),
        ('base = "wse3"\n[mesh]\nwidth = {value = 4, unit = "mile"}\n', "not 'mile'"),
        ('base = "wse7"\n', "no preset"),
        ('base = ["wse3"]\n', "no preset"),
        ("colour = 3\n", "unknown entry"),
        ("core = 3\n", "must be a table"),
        ("name = 3\n", "short text"),
        ("= broken", "not a TOML file"),
        ('base = "wse3"\n[mesh]\nreserved_colors = 24\n', "leaves programs none of 24 colors"),
        ('base = "wse3"\n[mesh]\nreserved_colors = 1e18\n', "absurd"),
        ('base = "wse3"\n[mesh]\nwidth = 100.5\n', "whole number"),
        ('base = "wse3"\n[core]\nsram_bytes = 49152.5\n', "whole number"),
    ],
)
def test_bad_files_name_the_field(tmp_path, text, says):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(CompileError, match=says):
        find_machine(str(path))


def test_a_byte_order_mark_before_a_machine_file_is_skipped(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert find_machine(str(path)).mesh.width.value == 100


@pytest.mark.parametrize(
    "put",
    [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir, lambda path: path.write_bytes(b" " * (2 << 20))],
)
def test_what_is_no_machine_file_is_refused_and_not_waited_for(tmp_path, put):
    path = tmp_path / "mine.toml"
    put(path)
    with pytest.raises(CompileError, match=r"not a regular file|are allowed"):
        find_machine(str(path))
