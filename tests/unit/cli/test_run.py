"""`undiced run`: a packaged model on an emulated mesh, its answer beside the engine's, and what it refuses."""

import json

import pytest
from support.commands import run

from undiced.core.errors import CompileError, InvalidRequestError, ModelNotFoundError, UndicedError

PROMPT = "The capital of France is"


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "how",
    [(), ("--region", "12x12"), ("--numbers", "wafer"), ("--mapping", "waferllm"), ("--mapping", "waferengine")],
)
def test_a_mesh_answers_as_the_engine_does(how):
    tokens = ("--tokens", "5")  # the sixth is a near tie, which instruction set levels break differently
    wanted = json.loads(run("generate", "--raw", "--prompt", PROMPT, *tokens, "--json"))
    found = json.loads(run("run", "--machine", "toy-24x24", "--prompt", PROMPT, *tokens, "--json", *how))
    assert [answer["text"] for answer in found["answers"]] == [wanted["text"]]
    assert "emulation" in found["emulation"]["provenance"]
    assert found["clamped_scores"] == 0


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
def test_prompts_of_a_batch_are_answered_as_each_alone():
    prompts = (PROMPT, "Once upon a time")
    alone = [json.loads(run("run", "-p", p, "-n", "3", "--machine", "toy-9x8", "--json"))["answers"] for p in prompts]
    both = json.loads(run("run", "-p", prompts[0], "-p", prompts[1], "-n", "3", "--machine", "toy-9x8", "--json"))
    assert both["answers"] == [answer for answers in alone for answer in answers]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("--machine", "wse3"), CompileError, "--machine toy-24x24"),
        (("--region", "1000x1"), CompileError, "does not fit"),
        (("--sum-bits", "8"), CompileError, "--sum-bits 16 or 32"),
        (("--prompt", ""), InvalidRequestError, "Give some text"),
    ],
)
@pytest.mark.model
def test_what_cannot_be_emulated_is_refused_with_a_remedy(arguments, error, says):
    with pytest.raises(error, match=says):
        run("run", "--prompt", "a", "--machine", "toy-2x2", *arguments)


def test_an_unknown_model_is_refused():
    with pytest.raises(ModelNotFoundError):
        run("run", "no-such-model", "--prompt", "a")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A program of the packaged model, of one text of 16 positions."""
    file = str(tmp_path_factory.mktemp("program") / "smollm.wafer")
    run("compile", "smollm2-135m", "--machine", "toy-24x24", "--context", "16", "-o", file)
    return file


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
def test_a_compiled_program_answers_with_its_model_s_weights(compiled):
    wanted = json.loads(run("generate", "--raw", "--prompt", PROMPT, "--tokens", "3", "--json"))
    found = json.loads(run("run", compiled, "--prompt", PROMPT, "--tokens", "3", "--json"))
    assert [answer["text"] for answer in found["answers"]] == [wanted["text"]]
    assert (found["machine"], found["mapping"]) == ("toy-24x24", "undiced")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-n", "40"), "holds 16 positions"),
        (("-p", "b"), "holds 1 texts at once"),
        (("--region", "3x3"), "--region was decided"),
        (("--weights", "int8"), "--weights was decided"),
        (("--checkpoint", "gemma3-270m"), "compiled for other weights"),
    ],
)
@pytest.mark.model
def test_what_a_compiled_program_cannot_do_has_a_remedy(compiled, arguments, says):
    with pytest.raises(UndicedError, match=says) as caught:
        run("run", compiled, "-p", "a", "-n", "2", *arguments)
    assert caught.value.remedy


@pytest.mark.model
def test_only_a_program_has_another_checkpoint():
    with pytest.raises(InvalidRequestError, match="--checkpoint goes with"):
        run("run", "--prompt", "a", "--checkpoint", "gemma3-270m")
