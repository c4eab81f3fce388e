"""What does not fit is told what would: every figure that a refusal names compiles, and the next one does not."""

import re
from dataclasses import replace

import pytest
from support.bounded import within

from undiced.compiler.wafer.compile import compile_wafer
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.resolve import dims_of
from undiced.compiler.wafer.scheme import Scheme
from undiced.core.errors import CheckpointError, CompileError
from undiced.machine import find_machine
from undiced.program import Bounds

WSE3 = find_machine("wse3")
TOY = find_machine("toy-12x12")
MODEL = "llama-3.3-70b"


def refused(model, wafer, options):
    with pytest.raises(CompileError) as caught:
        compile_wafer(model, wafer, options)
    return caught.value


def named(option, remedy):
    found = re.search(rf"--{option} (\S+?)[ ,.]", f"{remedy} ")
    return found and found[1]


def wafers(program):
    return 1 + max(region.wafer for region in program.regions)


def test_too_few_wafers_name_the_fewest_and_the_longest_context():
    options = Options(wafers=4, bounds=Bounds(1, 100_000))
    error = refused(MODEL, WSE3, options)
    assert error.message == "llama-3.3-70b at batch 1 and context 100000 does not fit 4 x wse3."
    count, context = int(named("wafers", error.remedy)), int(named("context", error.remedy))
    assert "(the longest on 4 x wse3)" in error.remedy
    assert compile_wafer(MODEL, WSE3, replace(options, wafers=count))
    assert compile_wafer(MODEL, WSE3, replace(options, bounds=Bounds(1, context)))
    for harder in (replace(options, wafers=count - 1), replace(options, bounds=Bounds(1, context + 1))):
        refused(MODEL, WSE3, harder)


def test_where_no_context_fits_wafers_and_weights_are_named():
    error = refused(MODEL, WSE3, Options(wafers=3))
    assert error.message == "llama-3.3-70b at batch 1 does not fit 3 x wse3 at any context."
    assert error.remedy == "What fits: --wafers 4, or --weights int8."
    assert wafers(compile_wafer(MODEL, WSE3, Options(wafers=3, scheme=Scheme(weights="int8")))) <= 3


def test_a_context_that_no_number_of_wafers_holds():
    error = refused("smollm2-135m", TOY, Options(bounds=Bounds(1, 1 << 24)))
    assert "does not fit any number of toy-12x12 (up to 1024)" in error.message
    context = int(named("context", error.remedy))
    count = int(re.search(r"the longest on (\d+) x toy-12x12", error.remedy)[1])
    program = compile_wafer("smollm2-135m", TOY, Options(bounds=Bounds(1, context)))
    assert wafers(program) == count
    refused("smollm2-135m", TOY, Options(bounds=Bounds(1, context + 1)))


def test_the_largest_batch_is_named():
    options = Options(bounds=Bounds(4096, 4096), wafers=2)
    batch = int(named("batch", refused("llama-3.1-8b", WSE3, options).remedy))
    assert compile_wafer("llama-3.1-8b", WSE3, replace(options, bounds=Bounds(batch, 4096)))
    error = refused("llama-3.1-8b", WSE3, replace(options, bounds=Bounds(batch + 1, 4096)))
    assert named("batch", error.remedy) == str(batch)


def test_a_region_too_small_names_the_smallest_square():
    error = refused("llama-3.1-8b", WSE3, Options(region=(10, 12)))
    assert "in regions of 10x12 cores at any context" in error.message
    side = int(named("region", error.remedy).split("x")[0])
    assert compile_wafer("llama-3.1-8b", WSE3, Options(region=(side, side)))
    refused("llama-3.1-8b", WSE3, Options(region=(side - 1, side - 1)))


def test_a_region_larger_than_the_mesh_names_the_mesh():
    error = refused("llama-3.1-8b", WSE3, Options(region=(2000, 10)))
    assert error.message == "A region of 2000x10 cores does not fit wse3."
    assert error.remedy == "Use at most 755x1170 (x by y)."


def test_everything_at_once_where_one_change_is_too_little():
    error = refused("llama-3.1-8b", WSE3, Options(bounds=Bounds(4096, 1_000_000), wafers=2))
    context, count = int(named("context", error.remedy)), int(named("wafers", error.remedy))
    assert "--batch 1" in error.remedy and "--weights int4" in error.remedy
    easier = Options(bounds=Bounds(1, context), scheme=Scheme(weights="int4"), wafers=count)
    assert compile_wafer("llama-3.1-8b", WSE3, easier)


def test_a_machine_that_is_too_small_altogether():
    error = refused("llama-3.1-405b", find_machine("toy-8x8"), Options())
    assert error.remedy == "Use a machine with more memory."


def test_a_machine_with_too_few_colors_is_told_how_many_it_takes_before_any_search():
    few = replace(WSE3, mesh=replace(WSE3.mesh, colors=replace(WSE3.mesh.colors, value=13)))
    with within("10 colors", 1 << 30):
        error = refused(MODEL, few, Options())
    needed = re.search(r"has 10 colors for programs; this one needs (\d+)", error.message)
    assert needed, error.message
    enough = WSE3.mesh.reserved_colors.value + int(needed[1])
    wide = replace(TOY, mesh=replace(TOY.mesh, colors=replace(TOY.mesh.colors, value=enough)))
    compile_wafer({"dim": 64, "heads": 4, "layers": 2, "vocab": 100}, wide, Options())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"qk_rope_head_dim": -8}, "can't have -8 query columns with rotation"),
        ({"kv_lora_rank": -8}, "can't have -8 columns of compressed keys"),
        ({"first_k_dense_replace": 9}, "can't have 9 dense layers"),
        ({"n_routed_experts": 1 << 40}, "experts"),
        ({"moe_intermediate_size": 0}, "columns per expert"),
        ({"moe_intermediate_size": "32"}, "no whole number"),
        ({"n_shared_experts": -1}, "columns of shared experts"),
    ],
)
def test_sizes_that_no_model_has_are_refused_by_name(wrong, says):
    sizes = {
        "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 96, "vocab_size": 200,
        "n_routed_experts": 8, "moe_intermediate_size": 32, "num_experts_per_tok": 2, "n_shared_experts": 1,
        "first_k_dense_replace": 1, "kv_lora_rank": 32, "q_lora_rank": 0, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8,
        "v_head_dim": 16,
    }  # fmt: skip
    with within(str(wrong), 1 << 30):
        assert says in refused({**sizes, **wrong}, TOY, Options()).message
    compile_wafer(sizes, TOY, Options())


LLAMA = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 200,
         "intermediate_size": 96}  # fmt: skip


@pytest.mark.parametrize("change", [{"rms_norm_eps": -1}, {"rope_theta": "x"}, {"num_key_value_heads": 3}])
def test_a_known_configuration_with_nonsense_in_it_is_not_guessed_at(change):
    assert dims_of(LLAMA).dim == 64
    with pytest.raises(CheckpointError) as caught:
        dims_of(LLAMA | change)
    assert caught.value.remedy


UNNAMED = {key: value for key, value in LLAMA.items() if key != "model_type"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": ["llama"]}, "model_type is something else, expected a string"),
        ({"model_type": 3}, "model_type is 3, expected a string"),
        ({"architectures": ["Unknown"], "model_type": ["llama"]}, "model_type is something else, expected a string"),
        ({"architectures": "Llama"}, "architectures is something else, expected a list of strings"),
        ({"architectures": ["Unknown", 3]}, "architectures is something else, expected a list of strings"),
        ({"text_config": "llama"}, "text_config is something else, expected an object"),
        ({"text_config": {"model_type": {}}}, "model_type is something else, expected a string"),
        ({"name": ["llama"]}, "name is \"['llama']\", no text"),
    ],
)
def test_what_a_configuration_calls_itself_must_be_text(change, says):
    with pytest.raises((CheckpointError, CompileError), match=re.escape(says)) as caught:
        dims_of(UNNAMED | change)
    assert caught.value.remedy


def test_a_configuration_that_calls_itself_nothing_or_something_else_is_taken_by_its_sizes():
    assert dims_of(UNNAMED | {"model_type": None, "architectures": None}).name == "config"
    assert dims_of(UNNAMED | {"model_type": "unheard", "architectures": ["Of"]}).name == "unheard"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1, "a": 2}', "occurs twice"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "no JSON object"),
        ("", "empty"),
    ],
)
def test_a_configuration_file_has_the_limits_of_every_document(tmp_path, text, problem):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=problem):
        dims_of(path)
