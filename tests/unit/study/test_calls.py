"""Questions from Python: what the command line takes, lists as rows, refusals in Python's words."""

import csv
import io
import json
from dataclasses import replace

import pytest
from support.mesh_configs import DENSE

import undiced
from undiced.core.errors import CompileError, InvalidRequestError, ModelNotFoundError, UndicedError
from undiced.model import build_config, preset
from undiced.study.rows import COLUMNS

SMALL = "smollm2-135m"
CONFIG = replace(DENSE, ffn=32)
TOY = {"machine": "toy-64x64", "context": 64, "region": "64x64", "layers": 1}
TINY = {"machine": "toy-8x8:64K", "context": 64, "region": "8x8"}


def test_a_name_is_enough():
    program = undiced.compile(SMALL, **TOY)
    assert repr(program).startswith("<WaferProgram: smollm2-135m for toy-64x64, 1 regions"), "notebooks print it"
    found = undiced.simulate(program)
    assert found == undiced.simulate(program, undiced.presets.toy(64, 64))
    assert found["context"] == 64 and found["tokens_per_second"] > 0
    whole = undiced.simulate(SMALL, **TOY)
    assert whole["digest"] == program.digest and whole["family"] == "llama"


def test_a_program_file_is_timed_too(tmp_path):
    file = tmp_path / "program"
    program = undiced.compile(CONFIG, **TINY)
    program.save(file)
    assert undiced.simulate(file)["digest"] == undiced.simulate(str(file))["digest"] == program.digest
    with pytest.raises(InvalidRequestError, match="weights was decided when the program was compiled"):
        undiced.simulate(program, weights="int8")


def test_a_configuration_and_a_graph_are_models():
    program = undiced.compile(CONFIG, **TINY)
    assert undiced.compile(build_config(CONFIG), **TINY) == program
    assert undiced.simulate(build_config(CONFIG, "Q8_0"), **TINY)["digest"] != program.digest, "its weights have 8 bits"
    with pytest.raises(CompileError, match="has the layers that it has"):
        undiced.compile(build_config(CONFIG), **TINY, layers=2)


def test_lists_give_rows():
    heard = []
    found = undiced.simulate(CONFIG, **TINY | {"context": [32, 64]}, clock=(0.55, 1.1), progress=heard.append)
    assert found == heard and [(row["context"], row["clock_hz"]) for row in found] == [
        (32, 0.55e9), (32, 1.1e9), (64, 0.55e9), (64, 1.1e9),
    ]  # fmt: skip
    assert all(tuple(row) == COLUMNS and row["fits"] and row["error"] is None for row in found)
    kinds = sum(value for name, value in found[0].items() if name.endswith("_cycles") and name.count("_") == 1)
    assert kinds == pytest.approx(found[0]["cycles_per_token"])
    one = undiced.simulate(CONFIG, **TINY)
    assert found[3]["tokens_per_second"] == one["tokens_per_second"]
    json.dumps(found)


def test_what_does_not_fit_is_a_row_and_says_in_python_what_would(tmp_path):
    file = tmp_path / "rows.csv"
    found = undiced.simulate(CONFIG, "toy-8x8:24K", wafers=[1, 40], context=64, layers=40, region="8x8")
    assert [row["fits"] for row in found] == [False, True]
    assert "wafers=" in found[0]["error"] and "--" not in found[0]["error"]
    assert found[1]["wafers_given"] == 40 and found[1]["wafers"] < 40
    assert undiced.to_csv(found, file) == file.read_text()
    read = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [row["fits"] for row in read] == ["False", "True"] and read[0]["tokens_per_second"] == ""


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": ["llama-9"]}, ModelNotFoundError, "llama-9"),
        ({"machine": ["toy-64x64", "wse9"]}, CompileError, "wse9"),
        ({"weights": ["fp16", "fp6"]}, CompileError, "'fp6' weights"),
        ({"mapping": ["undiced", "mine"]}, CompileError, "Known: undiced, waferllm"),
        ({"objective": ["latency", "speed"]}, CompileError, "speed"),
        ({"wafers": []}, InvalidRequestError, "The list of wafers is empty"),
        ({"context": [64, "long"]}, InvalidRequestError, "context can't be 'long'"),
        ({"context": [64], "frontier": True}, InvalidRequestError, "Rows have no frontier"),
        ({"clock": [0]}, CompileError, "A clock of 0 GHz"),
        ({"sum_bits": 8}, CompileError, "Use sum_bits=16 or 32"),
    ],
)
def test_what_can_not_be_asked_is_refused_before_anything_is_compiled(options, error, message, monkeypatch):
    monkeypatch.setattr("undiced.compiler.wafer.search.compile_graph", lambda *_: pytest.fail("compiled"))
    asked = {"model": SMALL, "machine": "toy-64x64", **options}
    with pytest.raises(error) as caught:
        undiced.simulate(**asked)
    assert message in str(caught.value) and "--" not in str(caught.value)


def test_one_program_has_one_of_everything():
    with pytest.raises(InvalidRequestError, match=r"one wafers. Give lists to undiced.simulate"):
        undiced.compile(SMALL, wafers=[1, 2])


def test_a_host_program_takes_no_options_of_wafers():
    graph = build_config(preset(SMALL), "Q8_0")
    host = undiced.presets.host(threads=1)
    assert undiced.compile(graph, host, context=64).bounds.context == 64
    with pytest.raises(InvalidRequestError, match="wafers has no effect on a host program"):
        undiced.compile(graph, host, wafers=2)


def test_the_public_names_are_listed():
    assert {"LLM", "SamplingParams", "compile", "simulate", "presets", "to_csv"} <= set(dir(undiced))
    assert all(getattr(undiced, name) is not None for name in dir(undiced))


def test_errors_of_published_mappings_speak_python():
    with pytest.raises(UndicedError) as caught:
        undiced.simulate("llama-3.1-8b", "wse2", mapping="waferllm", batch=2)
    assert 'Use batch=1, or mapping="undiced".' in str(caught.value)
