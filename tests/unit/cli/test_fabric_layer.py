"""`undiced fabric layer`: a layer of a compiled program, wavelet by wavelet, beside the closed forms."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from support.commands import run
from support.mesh_models import tiny
from support.trace_events import read

from undiced.cli.fabric_told import where
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import InvalidRequestError, ProgramFileError, UndicedError
from undiced.machine import find_machine
from undiced.program import Bounds


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model on a wafer that it just fills."""
    graph, _ = tiny("llama")
    wafer = find_machine("toy-7x5")
    made = compile_graph(graph, wafer, Options(bounds=Bounds(1, 64), region=(7, 5)))
    file = tmp_path_factory.mktemp("programs") / "tiny.wafer"
    made.save(file)
    return file


def test_a_layer_is_told_beside_the_closed_forms_and_drawn_and_traced(program: Path, tmp_path: Path) -> None:
    loads, trace = tmp_path / "loads.svg", tmp_path / "trace.json"
    options = ("--context", "20", "--loads", str(loads), "--trace", str(trace), "--json")
    found = json.loads(run("fabric", "layer", str(program), *options))
    assert (found["columns"], found["rows"], found["layer"]) == (7, 5, 0)
    assert 0.5 < found["cycles"] / found["closed_form_cycles"] < 2
    moves = [each for each in found["instructions"] if each["operation"] in ("reduce", "multicast")]
    assert len(moves) > 8 and all(each["fabric"][0] <= each["fabric"][1] <= found["cycles"] for each in moves)
    assert f"{found['wavelet_hops']:,} wavelets passed" in " ".join(ElementTree.parse(loads).getroot().itertext())
    told = read(trace.read_text())
    assert told.about["source"] == "simulated, not measured"
    assert "core (0, 0)" in told.processes.values()


def test_what_is_printed_names_both_and_every_mover(program: Path) -> None:
    lines = run("fabric", "layer", str(program), "--layer", "1", "--threads", "2").splitlines()
    assert lines[0].startswith("layer 1 in region '0': 7 x 5 cores of toy-7x5")
    assert any("closed forms" in line and "%" in line for line in lines)
    assert sum(line.strip().startswith(("reduce", "multicast")) for line in lines) > 8
    (share,) = (line for line in lines if line.startswith("  collectives"))
    fabric, form = (int(word) for word in share.split() if word.isdigit())
    assert 20 < form < 95 and 20 < fabric <= 100
    assert sum(line.strip().startswith("run ") for line in lines) == 2
    assert max(map(len, lines)) <= 80


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model on three regions, of one wafer and of three."""
    graph, _ = tiny("llama")
    files = {}
    for name, machine in (("one", "toy-12x12:19K"), ("three", "toy-6x6:19K")):
        made = compile_graph(graph, find_machine(machine), Options(bounds=Bounds(1, 64), region=(6, 6)))
        files[name] = tmp_path_factory.mktemp("programs") / "several.wafer"
        made.save(files[name])
    return files


def test_a_whole_token_is_told_over_all_regions_run_by_run(several: dict[str, Path]) -> None:
    lines = run("fabric", "layer", str(several["one"]), "--token").splitlines()
    assert lines[0].startswith("a token in 3 regions: 12 x 12 cores of toy-12x12")
    assert sum(line.strip().startswith(("transfer", "return")) for line in lines) == 5
    assert sum(line.strip().startswith("run ") for line in lines) == 14
    assert max(map(len, lines)) <= 80
    found = json.loads(run("fabric", "layer", str(several["one"]), "--token", "--json"))
    assert (found["region"], found["layer"], found["between_wafers_cycles"]) == (None, None, 0)
    assert [each["operation"] for each in found["instructions"]].count("transfer") == 4


def test_a_run_that_is_handed_something_begins_when_that_is_sent(several: dict[str, Path]) -> None:
    """Cores of the next region wait for it from the start on, which is nobody's cycles."""
    found = json.loads(run("fabric", "layer", str(several["one"]), "--token", "--json"))
    starts = [each["starts"] for each in found["runs"]]
    assert [each["fabric"] for each in starts] == sorted(each["fabric"] for each in starts)
    assert all(abs(each["fabric"] - each["closed_form"]) < 0.1 * found["cycles"] for each in starts)
    over = [each for each in found["instructions"] if each["operation"] == "transfer"]
    assert all(0 <= each["fabric"][0] < 10 and each["fabric"][1] < 400 for each in over)
    assert {found["runs"][each["run"]]["stream"] for each in over} == {"enter", "enter, turning"}


@pytest.mark.parametrize(("which", "options"), [("one", ("--token",)), ("one", ()), ("three", ("--token",))])
def test_cycles_with_a_mover_are_counted_once(several: dict[str, Path], which: str, options: tuple[str, ...]) -> None:
    """However many are under way, and whichever runs share a stream."""
    found = json.loads(run("fabric", "layer", str(several[which]), *options, "--json"))
    shares = found["moving_share"]
    assert 0.2 < shares["closed_form"] <= 1 and 0.2 < shares["fabric"] <= 1
    under_way = set[tuple[int, int]]()
    for each in found["instructions"]:
        on, start = (found["runs"][each["run"]][key] for key in ("wafer", "starts"))
        if each["operation"] in ("reduce", "multicast", "transfer", "return"):
            under_way |= {(on, start["fabric"] + cycle) for cycle in range(*each["fabric"])}
    wanted = (len(under_way) + found["between_wafers_cycles"]) / found["cycles"]
    assert shares["fabric"] == pytest.approx(wanted)


def test_a_token_over_several_wafers_says_what_is_simulated_and_what_is_not(several: dict[str, Path]) -> None:
    lines = run("fabric", "layer", str(several["three"]), "--token").splitlines()
    assert lines[0].startswith("a token in 3 regions on 3 wafers: 6 x 6 cores")
    assert any("between wafers" in line and "by closed forms: links are not simulated" in line for line in lines)
    assert [line for line in lines if line.startswith("  wafer ")] == ["  wafer 0", "  wafer 1", "  wafer 2"]
    found = json.loads(run("fabric", "layer", str(several["three"]), "--token", "--json"))
    system = find_machine("toy-6x6:19K").system
    assert found["between_wafers_cycles"] > 3 * system.wafer_to_wafer_s.value * found["clock_hz"]
    assert {each["wafer"] for each in found["runs"]} == {0, 1, 2}
    one = json.loads(run("fabric", "layer", str(several["one"]), "--token", "--json"))
    assert found["cycles"] - found["between_wafers_cycles"] == pytest.approx(one["cycles"], rel=0.02)
    with pytest.raises(InvalidRequestError, match="passes 3 wafers") as refused:
        run("fabric", "layer", str(several["three"]), "--token", "--loads", "loads.svg")
    assert refused.value.remedy


def test_any_number_of_threads_finds_the_same(program: Path) -> None:
    both = [json.loads(run("fabric", "layer", str(program), "--threads", str(n), "--json")) for n in (1, 3)]
    for found in both:
        found.pop("simulation_s"), found.pop("simulated_active_pe_cycles_per_s")
    assert both[0] == both[1]


def test_a_file_of_loads_is_shown_by_the_map_and_is_what_the_map_finds_itself(program: Path, tmp_path: Path) -> None:
    file, page = tmp_path / "loads.npz", tmp_path / "wafer.html"
    run("fabric", "layer", str(program), "--loads", str(file), "--json")
    told = [
        json.loads(run("map", str(program), "-o", str(page), *options, "--json"))["link_loads"]
        for options in (("--loads", str(file)), ("--links",))
    ]
    assert told[0] == told[1] and told[0]["layer"] == 0 and len(told[0]["collectives"]) > 8
    assert 'id="view-links"' in page.read_text()
    drawing = tmp_path / "links.svg"
    run("map", str(program), "-o", str(drawing), "--show", "links")
    words = " ".join(ElementTree.parse(drawing).getroot().itertext())
    assert "Each collective by itself" in words and "simulated: layer 0 in region 0" in words
    for wrong, options in ((InvalidRequestError, ("--context", "20")), (ProgramFileError, ())):
        with pytest.raises(wrong) as refused:
            run("map", str(program), "-o", str(page), "--loads", str(file), *options)
        assert refused.value.remedy
        file.write_bytes(b"else")


def test_the_map_simulates_nothing_unless_it_is_asked_to(program: Path, tmp_path: Path) -> None:
    found = json.loads(run("map", str(program), "-o", str(tmp_path / "wafer.html"), "--json"))
    assert "link_loads" not in found and 'id="view-links"' not in (tmp_path / "wafer.html").read_text()


@pytest.fixture(scope="module")
def one_head(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A configuration whose layer lies on 4 x 4 cores."""
    file = tmp_path_factory.mktemp("models") / "config.json"
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 1,
        "head_dim": 32,
    }
    file.write_text(
        json.dumps({"model_type": "llama", **sizes, "num_key_value_heads": 1, "vocab_size": 64, "rms_norm_eps": 1e-5})
    )
    return str(file)


PROMPT = ("--machine", "toy-4x4", "--mapping", "waferllm", "--region", "4x4", "--phase", "prefill", "--context", "24")


def test_a_layer_of_a_prompt_is_told_once_with_its_products(one_head: str, tmp_path: Path) -> None:
    found = json.loads(run("fabric", "layer", one_head, *PROMPT, "--json"))
    operations = [each["operation"] for each in found["instructions"]]
    assert operations.count("shiftproduct") == 8 and operations.count("shiftscores") == 1
    assert found["cycles"] == pytest.approx(found["closed_form_cycles"], rel=0.15)
    simulated = json.loads(run("simulate", one_head, *PROMPT, "--json"))
    assert found["closed_form_cycles"] == pytest.approx(simulated["cycles_per_layer"], rel=0.01)
    saved = tmp_path / "prompt.wafer"
    run("compile", one_head, *PROMPT, "-o", str(saved))
    lines = run("fabric", "layer", str(saved), "--loads", str(tmp_path / "loads.svg")).splitlines()
    assert sum(line.strip().startswith("shiftproduct") for line in lines) == 8
    assert f"{found['cycles']:,}" in "".join(lines)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("fabric", "layer", "llama-3.1-8b", "--phase", "prefill"), "The simulation shows one token of our mapping"),
        (("fabric", "layer", "MODEL", *PROMPT, "--token"), "A token has all layers"),
        (("fabric", "layer", "MODEL", *PROMPT, "--loads", "links.npz"), "A prompt's products pass tiles"),
        (("map", "MODEL", *PROMPT, "--links", "-o", "wafer.html"), "A prompt's products pass tiles"),
    ],
)
def test_what_prompts_do_not_have_is_refused_with_a_remedy(one_head: str, command: tuple[str, ...], words: str) -> None:
    with pytest.raises(UndicedError) as refused:
        run(*(one_head if word == "MODEL" else word for word in command))
    assert str(refused.value).startswith(words) and refused.value.remedy


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--layer", "7"), "No layer 7 in the program."),
        (("--region-number", "3"), "The program has no region 3."),
        (("--context", "65"), "The program holds 64 positions."),
        (("--token", "--layer", "1"), "A token has all layers and regions"),
        (("--token", "--loads", "links.npz"), "A token has all layers and regions"),
    ],
)
def test_what_is_not_there_is_refused_with_a_remedy(program: Path, options: tuple[str, ...], words: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        run("fabric", "layer", str(program), *options)
    assert str(refused.value).startswith(words) and refused.value.remedy


def test_a_wafer_that_a_token_passes_twice_counts_once_with_all_its_regions() -> None:
    def leg(*places: int) -> SimpleNamespace:
        frames = [SimpleNamespace(region=SimpleNamespace(rect=(at, 0, 1, 1))) for at in places]
        return SimpleNamespace(region="", run=SimpleNamespace(frames=frames))

    found = SimpleNamespace(wafers=(0, 1, 0), each=(leg(0, 1), leg(0), leg(0)))
    assert where(found) == "3 regions on 2 wafers"
