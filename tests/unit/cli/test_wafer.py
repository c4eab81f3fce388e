"""compile, simulate, map and validate from the command line: keys, round trips, refusals with what would fit."""

import json
import re
import xml.etree.ElementTree as ET

import pytest
from support.commands import run
from support.markdown import ROOT
from support.trace_events import read

from undiced.core.errors import (
    CannotWriteError,
    CheckpointError,
    CompileError,
    InvalidRequestError,
    ModelNotFoundError,
    UndicedError,
)
from undiced.core.option import as_command_options

KEYS = {
    "machine", "mapping", "clock_hz", "wafers", "fits", "cycles_per_token", "cycles_per_layer", "stage_interval_cycles",
    "initiation_interval_cycles", "tokens_per_second", "aggregate_tokens_per_second", "time_to_first_token_s",
    "sram_bytes_max_per_core", "max_context_tokens", "bank_pairs", "breakdown",
}  # fmt: skip
REGION = ("--region", "110x42")  # one shape instead of a search
SINGLY = ("--phase", "prefill", "--chunk", "1")  # a prompt's positions one by one
WAFERLLM = "--machine wse2 --mapping waferllm --region 420x420 --groups 20 --context 4200 --layers 32".split()


def test_replaying_a_published_mapping():
    found = json.loads(run("simulate", "llama-3.1-8b", *WAFERLLM, "--json"))
    assert found.keys() >= KEYS
    assert found["cycles_per_layer"] == pytest.approx(12_732, rel=0.05)
    layers = 32 * found["cycles_per_layer"]
    assert found["tokens_per_second"] == pytest.approx(found["clock_hz"] / layers, rel=1e-3)
    assert found["fits"] is False, "one layer of the replay is resident, the whole model is not"


def test_prefill_and_clock():
    options = "--machine wse2 --mapping waferllm --region 480x480 --groups 20 --context 4096 --phase prefill".split()
    slow, fast = (
        json.loads(run("simulate", "llama-3.1-8b", *options, "--clock", c, "--json")) for c in ("0.55", "1.1")
    )
    assert slow["cycles_per_layer"] == fast["cycles_per_layer"] == pytest.approx(6.93e6, rel=0.1)
    assert fast["tokens_per_second"] == pytest.approx(2 * slow["tokens_per_second"])


def test_what_memory_that_narrow_weights_leave_is_used_for_is_told_and_can_be_refused():
    asked = ("simulate", "smollm2-135m", *REGION, "--weights", "int8", "--layers", "8")
    filled, left = (json.loads(run(*asked, how, "--json")) for how in ("--fill", "--no-fill"))
    assert filled["cycles_per_token"] < left["cycles_per_token"]
    assert 0 < filled["weights_16_bit_share"] < 1 and filled["blocks_16_bit"] <= filled["blocks"] == 16
    assert left["weights_16_bit_share"] == left["blocks_16_bit"] == left["widened_ahead_bytes_per_core"] == 0
    assert left["max_context_tokens"] == left["narrow_weights_max_context_tokens"]
    assert filled["max_context_tokens"] <= filled["narrow_weights_max_context_tokens"]
    said = run(*asked)
    assert f"{filled['weights_16_bit_share']:.1%} of them, {filled['blocks_16_bit']} of 16 blocks" in said
    assert "weights_16_bit_share" not in json.loads(run("simulate", "smollm2-135m", *REGION, "--layers", "8", "--json"))


@pytest.mark.parametrize("asked", [(), ("--weights", "int8", "--phase", "prefill")])
def test_memory_that_nothing_leaves_is_not_filled(asked):
    with pytest.raises(InvalidRequestError, match="Memory is filled that narrow weights leave"):
        run("simulate", "smollm2-135m", *REGION, *asked, "--fill")


def test_a_program_survives_the_disk_and_is_drawn(tmp_path):
    file, drawing = tmp_path / "program", tmp_path / "wafer.svg"
    compiled = json.loads(run("compile", "smollm2-135m", *REGION, "-o", str(file), "--json"))
    again = json.loads(run("simulate", str(file), "--json"))
    assert again["digest"] == compiled["digest"]
    assert again["cycles_per_token"] == compiled["cycles_per_token"]
    assert compiled["fits"]
    with pytest.raises(CompileError, match="holds 4096 positions, and 900000 are asked for"):
        run("simulate", str(file), "--context", "900000", "--json")
    assert not json.loads(run("simulate", str(file), "--batch", "64", "--json"))["fits"], "it holds keys of one"
    for show in ("layers", "time"):
        run("map", str(file), "-o", str(drawing), "--show", show)
        assert f"wse3: {show}" in "".join(ET.parse(drawing).getroot().itertext())
    page = tmp_path / "wafer.html"
    mapped = json.loads(run("map", str(file), "-o", str(page), "--json"))
    assert mapped["file"] == str(page) and page.read_text().startswith("<!doctype html>")
    assert mapped["cycles_per_token"] == compiled["cycles_per_token"] == sum(p["cycles"] for p in mapped["places"])
    with pytest.raises(CompileError, match="holds 4096 positions, and 100000 are asked for") as refused:
        run("map", str(file), "-o", str(page), "--context", "100000")
    assert "context=100000" in refused.value.remedy
    trace = tmp_path / "trace.json"
    traced = json.loads(run("trace", str(file), "-o", str(trace), "--json"))
    assert traced["cycles_per_token"] == pytest.approx(compiled["cycles_per_token"], abs=0.1)
    assert traced["source"] == "simulated, not measured" and traced["clock_hz"] == compiled["clock_hz"]
    assert sum(map(len, read(trace.read_text()).slices.values())) == traced["slices"]
    for command in ("map", "trace"):
        with pytest.raises(UndicedError, match="was decided when the program was compiled"):
            run(command, str(file), "--wafers", "2")
    text = run("compile", "smollm2-135m", *REGION, "--dump")
    assert "reduce" in text and json.loads(run("compile", "smollm2-135m", *REGION, "--dump", "--json")) == {
        "dump": text
    }


def test_a_model_is_drawn_without_a_program(tmp_path):
    file = tmp_path / "wafer.html"
    said = run("map", "smollm2-135m", *REGION, "--wafers", "2", "-o", str(file))
    assert said.strip() == str(file) and "2 wafers given, 1 used: 1 stay" in file.read_text()
    with pytest.raises(InvalidRequestError, match="map shows one token"):
        run("map", "smollm2-135m", *REGION, "--phase", "prefill", "-o", str(file))


def test_people_read_the_clock_beside_every_second():
    text = run("simulate", "smollm2-135m", *REGION, "--machine", "wse3")
    assert "simulated at" in text and "GHz" in text and "cycles by kind" in text


def test_wider_sums_cost_time():
    speeds = [
        json.loads(run("simulate", "smollm2-135m", *REGION, "--sum-bits", bits, "--json"))["tokens_per_second"]
        for bits in ("16", "32")
    ]
    assert speeds[0] > speeds[1]


def test_speculation_states_its_assumption():
    found = json.loads(
        run("simulate", "smollm2-135m", *REGION, "--draft", "smollm2-135m", "--acceptance", "0.7", "--json")
    )
    assert found["speculation"]["acceptance"] == 0.7 and "assumed" in found["speculation"]["provenance"]


def test_a_host_program(tmp_path):
    found = json.loads(run("compile", "smollm2-135m", "--machine", "host", "--json"))
    assert found["machine"] == "host" and found["weight_bytes"] > 9e7


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("compile", "llama-9"), ModelNotFoundError, "`undiced models --configurations` lists all"),
        (
            ("compile", "smollm2-135m", "--machine", "toy-64x64:64K", "--wafers", "1"),
            CompileError,
            "What fits: --wafers",
        ),
        (("compile", "llama-3.1-8b", "--machine", "wse9"), CompileError, "wse3"),
        (("compile", "llama-3.1-8b", "--context", "9000000"), CompileError, "context"),
        (("compile", "llama-3.1-8b", "--sum-bits", "8"), CompileError, "--sum-bits"),
        (("simulate", "llama-3.1-8b", *WAFERLLM[:4], "--region", "421x421", "--groups", "20"), CompileError, "421"),
        (("simulate", "llama-3.1-8b", *WAFERLLM[:4], "--region", "0x5"), CompileError, "WxH"),
        (("map", "absent"), ModelNotFoundError, "absent"),
        (("map", "llama-3.1-8b", "-o", "/absent/wafer.html"), CannotWriteError, "Cannot write /absent/wafer.html"),
        (("trace", "absent"), ModelNotFoundError, "absent"),
        (("trace", "absent", "-o", "/absent/trace.json"), CannotWriteError, "Cannot write /absent/trace.json"),
        (("map", "absent", "-o", "wafer.jpg"), InvalidRequestError, "neither .html, .svg nor .png"),
        (("compile", "smollm2-135m", *REGION, "-o", "/absent/program"), CannotWriteError, "Cannot write"),
        (("compile", "llama-3.1-8b", "--layers", "100000"), CheckpointError, "1 to 512"),
        (
            ("compile", "llama-3.1-8b", "--batch", "5000"),
            CompileError,
            "batch of 5000 is out of range. Use 1 to 4096",
        ),
        (("compile", "llama-3.1-8b", "--wafers", "5000"), CompileError, "Use 1 to 1024"),
        (("simulate", "smollm2-135m", *REGION, "--clock", "0"), CompileError, "A clock of 0 GHz is out of range."),
        (("simulate", "llama-3-8b", *WAFERLLM[:4], "--groups", "900"), CompileError, "Use at most --groups 750"),
        (("simulate", __file__), CheckpointError, "is no compiled program and no checkpoint"),
    ],
)
def test_refusals_say_what_would_fit(arguments, error, message):
    with pytest.raises(error) as caught:
        run(*arguments)
    assert message in as_command_options(str(caught.value))


def test_validation_has_one_output_at_a_time():
    with pytest.raises(InvalidRequestError, match="Several"):
        run("validate", "--claims", "--calibrate")


def test_the_calibration_as_json():
    found = json.loads(run("validate", "--calibrate", "--json"))
    assert all(fit["rank"] == len(fit["fitted"]) and fit["errors"] for fit in found["fits"])
    for fit in found["fits"]:
        assert set(fit["identified_by"]) == set(fit["fitted"]) and fit["condition"] >= 1
        assert set(fit["assumed"]) <= set(found["assumed"][fit["machine"]])
    assert re.search(r"step_software .* told by S29", run("validate", "--calibrate"))


def test_claims_as_json(monkeypatch):
    from undiced.validation import claims

    interval = claims.Interval("speed", "tokens/s", 0.85, 2.0, 1.0, 2.0, 3.0)
    told = claims.Claims((interval,), (claims.Ladder((), ()), claims.Ladder((), ())), 5, {"wse3": 4})
    monkeypatch.setattr(claims, "claims", lambda count, progress: told if count == 5 else None)
    found = json.loads(run("validate", "--claims", "--samples", "5", "--json"))
    assert found["samples"] == {"drawn": 5, "kept": {"wse3": 4}}
    assert found["claims"][0]["median"] == 2.0 and found["claims"][0]["clock_ghz"] == 0.85
    assert "samples kept: 4 of 5 of wse3" in run("validate", "--claims", "--samples", "5")


def test_what_moves_a_claim_is_told_and_drawn_at_both_clocks(monkeypatch, tmp_path):
    from undiced.validation import claims
    from undiced.validation.tornado import Effect

    moved = Effect("skew", 0.0, 59.0, 12.0, 8.0), Effect("timer", 10.0, 20.0, 9.5, 10.5)
    both = tuple(claims.Interval("speed", "tokens/s", clock, 10.0, 8.0, 9.0, 11.0, moved) for clock in (0.85, 1.1))
    ladders = claims.Ladder((), ()), claims.Ladder((), ())
    monkeypatch.setattr(claims, "claims", lambda count, progress: claims.Claims(both, ladders, 9, {"wse3": 9}))
    file = tmp_path / "moved.svg"
    lines = run("validate", "--claims", "--plot", str(file)).splitlines()
    rows = [line for line in lines if line.startswith(("skew", "timer"))]
    assert [row.split()[0] for row in rows] == ["skew", "timer"] and rows[0].count("12 to 8 (-4)") == 2
    drawn = file.read_text()
    assert "skew, 0 to 59" in drawn and "0.85 GHz" in drawn and drawn.count("12 to 8") >= 2


def test_a_plot_without_claims_of_too_few_samples_or_of_another_kind_is_refused(monkeypatch, tmp_path):
    from undiced.validation import claims

    few = claims.Claims((claims.Interval("speed", "x", 1.1, 1, 1, 1, 1),), (), 2, {})
    monkeypatch.setattr(claims, "claims", lambda count, progress: few)
    for options, words in (
        (("--plot", str(tmp_path / "a.svg")), "--plot has no effect"),
        (("--claims", "--plot", str(tmp_path / "a.gif")), "neither .svg nor .png"),
        (("--claims", "--plot", str(tmp_path / "a.svg")), "2 samples don't tell"),
    ):
        with pytest.raises(InvalidRequestError, match=words) as refused:
            run("validate", *options)
        assert refused.value.remedy


def test_samples_without_claims_are_refused():
    with pytest.raises(InvalidRequestError, match="--samples has no effect"):
        run("validate", "--samples", "5")


@pytest.mark.slow
def test_validation_as_json_and_for_people(tmp_path):
    rows = json.loads(run("validate", "--json"))
    assert {row["kind"] for row in rows} == {"calibration", "open"} and all(row["passed"] is not False for row in rows)
    text = run("validate")
    assert "Open and judged" in text and "Open and reported" in text
    run("validate", "--write", str(tmp_path / "page.md"), "--samples", "2")
    page = (tmp_path / "page.md").read_text()
    assert page.count("\n| ") > len(rows)
    headings = [line for line in (ROOT / "docs" / "validation.md").read_text().splitlines() if line.startswith("## ")]
    assert [line for line in page.splitlines() if line.startswith("## ")] == headings


def test_lookups_are_guesses_too_as_they_were_measured():
    asked = ("simulate", "smollm2-135m", *REGION, "--draft", "lookup", "--clock", "0.85")
    found = json.loads(run(*asked, "--json"))
    said = found["speculation"]
    assert said["draft"] == "lookup" and found["clock_hz"] == 0.85e9 and said["acceptance"] == "measured"
    text = run(*asked)
    assert "guesses by lookup, made on the host" in text and "lookups in answers of smollm2-135m" in text
    assert all(f"of {each['work']} " in text for each in said["by_work"]) and "(assumed)" in text
    one = json.loads(run(*asked, "--acceptance", "measured:edit", "--json"))["speculation"]
    edit = next(each for each in said["by_work"] if each["work"] == "edit")
    assert one["tokens_per_second"] == edit["tokens_per_second"] and not one["by_work"]


def test_a_sweep_of_guesses():
    asked = ("sweep", "smollm2-135m", *REGION, "--draft", "lookup", "--acceptance", "0.5,measured:edit")
    rows = json.loads(run(*asked, "--json"))
    assert [row["acceptance"] for row in rows] == [0.5, "measured:edit"]
    assert rows[0]["speculated_tokens_per_second"] > rows[0]["tokens_per_second"] == rows[1]["tokens_per_second"]
    text = run(*asked)
    assert "with guesses" in text and "measured:edit" in text
    with pytest.raises(InvalidRequestError, match="no effect without --draft"):
        run("sweep", "smollm2-135m", "--acceptance", "0.5")


def test_a_prompt_through_our_mapping():
    decode, prompt, chunked = (
        json.loads(run("simulate", "smollm2-135m", *REGION, "--context", "2048", *more, "--json"))
        for more in ((), ("--phase", "prefill", "--chunk", "1"), ("--phase", "prefill"))
    )
    assert prompt["time_to_first_token_s"] == pytest.approx(prompt["cycles_per_token"] / prompt["clock_hz"])
    assert prompt["time_to_first_token_s"] == pytest.approx(decode["time_to_first_token_s"])
    assert prompt["tokens_per_second"] == pytest.approx(2048 / prompt["time_to_first_token_s"])
    assert prompt["tokens_per_second"] > decode["tokens_per_second"], "positions of a prompt follow each other"
    assert chunked["chunk"] > 1 and chunked["tokens_per_second"] > 2 * prompt["tokens_per_second"]
    assert 0 < chunked["dense_peak_share"] < 1
    assert chunked["decoding"]["tokens_per_second"] < decode["tokens_per_second"] * 1.1
    assert sum(decode["breakdown"]["kind"].values()) == pytest.approx(decode["cycles_per_token"])
    assert sum(decode["breakdown"]["instruction"].values()) == pytest.approx(decode["cycles_per_token"])


def test_a_saved_replay_knows_its_mapping_and_phase(tmp_path):
    file = str(tmp_path / "program")
    options = "--machine wse2 --mapping waferllm --region 480x480 --groups 20 --context 4096 --phase prefill".split()
    compiled = json.loads(run("compile", "llama-3.1-8b", *options, "-o", file, "--json"))
    again = json.loads(run("simulate", file, "--json"))
    assert (again["mapping"], again["phase"]) == ("waferllm", "prefill")
    assert again["tokens_per_second"] == compiled["tokens_per_second"]
    with pytest.raises(CompileError, match="4096 positions"):
        run("simulate", file, "--context", "100")


@pytest.mark.parametrize(
    "arguments, option",
    [
        (("compile", "smollm2-135m", "--machine", "host", "--weights", "int8"), "--weights"),
        (("compile", "smollm2-135m", "--machine", "host", "--clock", "1"), "--clock"),
        (("simulate", "smollm2-135m", *REGION, "--acceptance", "0.5"), "--acceptance"),
        (("simulate", "{file}", "--wafers", "3"), "--wafers"),
        (("simulate", "{file}", "--code-bytes", "8"), "--code-bytes"),
        (("simulate", "{file}", "--sum-bits", "32"), "--sum-bits"),
        (("simulate", "{file}", "--machine", "wse2"), "for toy-64x64:64K, not for wse2"),
        (("simulate", "llama-3.1-8b", *WAFERLLM, "--objective", "interval"), "objective"),
        (("simulate", "llama-3.1-8b", *WAFERLLM, "--code-bytes", "5120"), "code size"),
        (("simulate", "llama-3.1-8b", *WAFERLLM, "--weights", "int8"), "number formats"),
        (("simulate", "smollm2-135m", "--groups", "4"), "groups"),
        (
            ("simulate", "smollm2-135m", *REGION, "--phase", "prefill", "--chunk", "1", "--batch", "2"),
            "one after another",
        ),
        (("simulate", "llama-3.1-8b", "--draft", "smollm2-135m", "--batch", "2"), "speculates"),
        (("simulate", "llama-3.2-1b", "--draft", "llama-3.1-8b"), "8,030,261,248 parameters, and llama-3.2-1b 1,2"),
        (("simulate", "llama-3.1-8b", "--draft", "smollm2-135m"), "knows 49,152 tokens, and llama-3.1-8b 128,256"),
        (("simulate", "llama-3.1-8b", "--draft", "lookup", "--acceptance", "often"), "'often' is no acceptance"),
    ],
)
def test_options_without_effect_are_refused(arguments, option, tmp_path):
    file = tmp_path / "program"
    if "{file}" in arguments:
        run("compile", "smollm2-135m", "--machine", "toy-64x64:64K", "--context", "64", "-o", str(file))
    with pytest.raises(UndicedError) as caught:
        run(*(str(file) if a == "{file}" else a for a in arguments))
    assert option in str(caught.value) and caught.value.remedy


def test_a_program_for_a_machine_of_ones_own(tmp_path):
    machine, file = tmp_path / "mine.toml", tmp_path / "program"
    machine.write_text('name = "mine"\nbase = "wse3"\n[core]\nsram_bytes = 65536\n')
    run("compile", "smollm2-135m", *REGION, "--machine", str(machine), "-o", str(file))
    with pytest.raises(InvalidRequestError, match="machine of your own"):
        run("simulate", str(file))
    assert json.loads(run("simulate", str(file), "--machine", str(machine), "--json"))["machine"] == "mine"
    run("map", str(file), "--machine", str(machine), "-o", str(tmp_path / "mine.svg"))


TINY = ("--machine", "toy-64x64:64K", "--region", "64x64", "--context", "64")


def test_a_saved_program_takes_prompts_as_it_was_compiled_to(tmp_path):
    both, alone = (str(tmp_path / name) for name in ("both", "alone"))
    asked = ("smollm2-135m", *TINY, "--phase", "prefill", "--chunk", "8")
    run("compile", *asked, "--batch", "3", "-o", both)
    found = json.loads(run("simulate", both, "--phase", "prefill", "--json"))
    assert (found["chunk"], found["chunks"], found["interleaved"]["users"]) == (8, 8, 2)
    between = found["interleaved"]["time_between_tokens_s"]
    assert between["without_prompt"] < between["mean"] <= between["longest"]
    assert found["interleaved"]["time_to_first_token_s"] > found["time_to_first_token_s"]
    assert "chunk" not in json.loads(run("simulate", both, "--json")), "it decodes, too"
    said = run("simulate", both, "--phase", "prefill")
    assert "8 of 8 tokens" in said and "share of dense peak" in said and "among 2 who decode" in said

    run("compile", *asked, "--apart", "-o", alone)
    found = json.loads(run("simulate", alone, "--json"))
    assert found["phase"] == "prefill" and "decoding" not in found
    assert found["apart"]["handed_over_bytes"] == 64 * 30 * 2 * 3 * 64 * 2, (
        "keys and values of 30 layers, 3 heads of 64"
    )
    assert "assumed" in found["apart"]["provenance"] and "decoding_wafers" not in found["apart"]
    with pytest.raises(InvalidRequestError, match="takes prompts alone"):
        run("run", alone, "-p", "Hello")


def test_prompts_apart_are_told_beside_those_who_decode():
    found = json.loads(
        run("simulate", "smollm2-135m", *TINY, "--phase", "prefill", "--chunk", "8", "--apart", "--json")
    )
    decode = json.loads(run("simulate", "smollm2-135m", *TINY, "--json"))
    assert found["apart"]["decoding_tokens_per_second"] == decode["tokens_per_second"]
    assert found["apart"]["decoding_wafers"] == decode["wafers"]
    said = run("simulate", "smollm2-135m", *TINY, "--phase", "prefill", "--chunk", "8", "--apart")
    assert "keys and values" in said and "other wafers decode" in said


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--apart",), "for prompts in chunks"),
        (("--apart", "--phase", "prefill", "--chunk", "1"), "for prompts in chunks"),
        (("--phase", "prefill", "--mapping", "waferllm", "--chunk", "8"), "for our mapping"),
        (("--phase", "prefill", "--chunk", "2000"), "chunk of 2000 is out of range"),
        (("--phase", "prefill", "--wafers", "1", "--context", "1000000"), "Beside a chunk of 4 tokens.*not of 1000000"),
    ],
)
def test_options_of_prompts_that_exclude_each_other_are_refused(more, says):
    with pytest.raises(UndicedError, match=says) as caught:
        run("simulate", "smollm2-135m", "--machine", "toy-64x64:64K", "--region", "64x64", *more)
    assert caught.value.remedy
