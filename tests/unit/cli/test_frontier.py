"""`undiced frontier`, and batches and prompts of `simulate`, from the terminal: tables, JSON, pictures, refusals."""

import json

import pytest
from support.tiny_models import load_case
from typer.testing import CliRunner

from undiced.cli.app import app
from undiced.core.errors import UndicedError

ENGINE = ("simulate", "qwen3-1.7b", "--mapping", "waferengine", "--phase", "prefill")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "tiny.json"
    file.write_text(json.dumps(load_case("qwen3-moe")["config"]))
    return str(file)


def run(*words):
    return CliRunner().invoke(app, words)


def refused(*words):
    done = run(*words)
    assert isinstance(done.exception, UndicedError), done.output
    return f"{done.exception} {done.exception.remedy}"


def test_a_table_a_picture_and_json_have_the_same_points(model, tmp_path):
    picture = tmp_path / "frontier.svg"
    words = (
        "frontier",
        model,
        "--machine",
        "toy-12x12:64K",
        "--region",
        "6x6",
        "--context",
        "16,64",
        "--lockstep",
        "1",
    )
    table, data = run(*words, "-o", str(picture)), json.loads(run(*words, "--json").stdout)
    points = data["points"]
    assert {point["context"] for point in points} == {16, 64} and data["provenance"] == "simulated"
    lines = [line for line in table.stdout.splitlines() if line.split()[:1] in (["16"], ["64"])]
    assert len(lines) == len(points) and str(picture) in table.stdout
    assert lines[0].split()[2].replace(",", "") == f"{points[0]['tokens_per_second']:.0f}"
    assert "users at once" in picture.read_text()


def test_a_mixture_tells_how_its_experts_are_chosen(model):
    words = (
        "simulate",
        model,
        "--machine",
        "toy-12x12",
        "--region",
        "12x12",
        "--context",
        "16",
        "--batch",
        "4",
        "--lockstep",
        "4",
    )
    found = json.loads(run(*words, "--routing", "uniform", "--json").stdout)
    assert found["lockstep"] == 4 and 1 < found["experts"]["distinct_experts"] <= found["experts"]["choices"]
    assert "different ones chosen" in run(*words, "--routing", "zipf").stdout
    assert "experts" not in json.loads(run(*words, "--json").stdout)


def test_prompts_of_the_engine_say_what_they_are():
    found = json.loads(run(*ENGINE, "--context", "2048", "--chunk", "512", "--json").stdout)
    assert found["prompt_cycles"] == found["cycles_per_token"] and "not executed" in found["provenance"]
    assert (found["chunk"], found["prefix"]) == (512, 0)
    shown = run(*ENGINE, "--context", "2048", "--prefix", "1024").stdout
    assert "chunks of 512 tokens, 1024 positions there already" in shown and "timed, not executed" in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("simulate", "llama-3.1-8b", "--batch", "2", "--lockstep", "4"), "4 of 2 sequences can't go in lockstep"),
        (("simulate", "llama-3.1-8b", "--context", "4096", "--capacity", "99"), "99 positions can't attend to 4096"),
        (
            ("simulate", "llama-3.1-8b", "--phase", "prefill", "--mapping", "waferllm", "--chunk", "9"),
            "Chunks of a prompt",
        ),
        ((*ENGINE, "--context", "512", "--prefix", "512"), "512 positions has none left after a prefix of 512"),
        ((*ENGINE, "--frontier"), "no draft, no frontier"),
        (("compile", "qwen3-1.7b", "--mapping", "waferengine", "--phase", "prefill"), "has no program here"),
        (("frontier", "llama-3.1-8b", "-o", "a.txt"), "a.txt is neither"),
        (("frontier", "llama-3.1-8b", "--context", "x"), "--context can't be 'x'"),
    ],
)
def test_what_contradicts_itself_is_refused(words, told):
    assert told in refused(*words)


def test_a_model_without_experts_routes_nothing(model):
    told = refused(
        "simulate", "smollm2-135m", "--layers", "1", "--machine", "toy-24x24", "--region", "24x24", "--routing", "zipf"
    )
    assert "smollm2-135m has no experts" in told
