"""README.md, claim by claim. A figure in it belongs to a phrase here, and the phrase to a test or a record.

Blocks of code are test_blocks.py's. Rules that tests keep elsewhere are named, not repeated.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.markdown import PAGES, ROOT, prose
from support.tiny_models import load_case

from undiced import compile as compile_for
from undiced import presets
from undiced.checkpoint.catalog import CATALOG
from undiced.cli.commands import COMMANDS, built
from undiced.core.formats import GGUF_FORMATS
from undiced.model import build_config
from undiced.model.registry import config_from_json
from undiced.program import Bounds

README = PAGES[0].read_text()
PROSE = " ".join(prose(PAGES[0]).split())
MODEL = "smollm2-135m"

# Phrases with figures, and what stands behind them: a test here or in a file, or a line of a record.
CLAIMS = {
    "SmolLM2-135M-Instruct (Apache-2.0, from a Python package)": "test_what_make_serve_fetches",
    "Linux on x86-64 or 64-bit Arm, Python 3.11 or newer, make, and a C++20 compiler": "test_what_is_needed",
    "The kernels use AVX-512, AVX2 or NEON": "native/tests/CMakeLists.txt",
    "--machine wse3 -o FILE": "tests/documents/test_blocks.py",
    "--wafers 1,2 --context 4k,32k": "tests/documents/test_blocks.py",
    "(F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K, IQ4_NL, IQ4_XS, MXFP4)":
        "test_formats",
    "(dense, fp8, AWQ, GPTQ, compressed-tensors, MXFP4": "test_quantized_folders",
    "Llama, Mistral, Mixtral, Qwen 2, Qwen 3 and its mixtures, Gemma 2 and 3, Phi-3 and 4, OLMo 2 and 3, Granite, "
    "GPT-2, GPT-NeoX, gpt-oss, Llama 4 and DeepSeek V2 and V3": "test_families_of_the_host",
    "commit 96b38be, AVX-512): 3,315 teacher-forced tokens": "tests/oracle/test_quality.py",
    "(decoded, Undiced has 0.0020 and 0.0019)": "SmolLM2 mean KL 0.0020 both ways",
    "SmolLM2-135M Q4_1: Undiced / llama.cpp | 0.0020 / 0.0028 | 0.0092 / 0.0140 | 97.2 / 96.7 % | 99.4 / 99.0 %":
        "tests/oracle/test_quality.py",
    "Gemma 3 270M Q4_K_M: Undiced / llama.cpp | 0.0019 / 0.0052 | 0.0102 / 0.0285 | 97.6 / 96.1 % | 99.3 / 98.2 %":
        "mean KL 0.0019, llama.cpp 0.0052",
    "Prompts of 4,096 tokens pass in chunks, at 73,668 tokens per second on 8 wafers": "tests/documents/test_blocks.py",
    "The 70B figure is 989 at 0.85 GHz": "test_the_other_clock",
    "90 % of the samples lie between 1,075 and 1,297 at 1.1 GHz": "test_the_range_of_the_70b_figure_is_the_page_s",
    "With guesses by a 1B of which each is right at 0.8, an assumption, it is 3,742": "tests/documents/test_blocks.py",
    "in 32-bit numbers they get SmolLM2's tokens": "tests/unit/cli/test_published_mappings.py",
    "AVX-512 and NEON in emulation": "tests/full.sh",
    "twenty thousand damaged files of every kind": "test_so_many_damaged_files",
}  # fmt: skip
SPEED = re.search(r"## Speed\n(.*?)\nQuality is measured", README, re.DOTALL)[1]  # type: ignore[index]


def test_every_figure_belongs_to_a_claim() -> None:
    rest = PROSE.replace(" ".join(SPEED.split()), "")
    for phrase in CLAIMS:
        assert phrase in rest, f"README.md no longer says {phrase!r}"
        rest = rest.replace(phrase, "")
    names = r"\bSmolLM2-135M\b|docs/\S+|Apache-2\.0\.$|`apt-get [^`]*`|99th percentile"
    assert not re.findall(r"\S*\d\S*", re.sub(names, "", rest))


def test_what_stands_behind_a_claim_is_there() -> None:
    here, log = Path(__file__).read_text(), " ".join((ROOT / "docs" / "LOG.md").read_text().split())
    for behind in filter(None, CLAIMS.values()):
        assert f"def {behind}(" in here or (ROOT / behind).exists() or behind in log, behind


def test_commands_of_the_table_are_all_that_there_are() -> None:
    table = README.split("| command | what it does |")[1].split("\n\n")[0]
    cells = [row.strip("| ").split(" | ")[0] for row in table.splitlines()[2:]]
    codes = [code for cell in cells for code in re.findall("`([^`]*)`", cell)]
    assert {code.removeprefix("undiced ").split()[0] for code in codes} == {name.split()[0] for name in COMMANDS} - {
        "help",
        "version",
    }


def test_every_command_has_json() -> None:
    for name in COMMANDS:
        options = {option for parameter in built(name).params for option in parameter.opts}
        assert "--json" in options or name in ("help", "version"), name


def test_what_is_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert re.search(r"CXX_STANDARD 20|cxx_std_20", (ROOT / "CMakeLists.txt").read_text())


def test_what_make_serve_fetches() -> None:
    packaged = CATALOG[MODEL]
    assert packaged.license == "Apache-2.0" and "SmolLM2-135M-Instruct" in packaged.file
    assert "MODEL ?= smollm2-135m" in (ROOT / "Makefile").read_text()


def test_quantized_folders() -> None:
    from undiced.checkpoint.schemes import READERS

    said = re.search(r"\(dense, ([^:]*):", PROSE)[1].lower().split(", ")  # type: ignore[index]
    assert set(said) == set(READERS) - {"fbgemm_fp8"}


def test_formats() -> None:
    assert set(re.search(r"GGUF file \(([^)]*)\)", PROSE)[1].split(", ")) == set(GGUF_FORMATS)  # type: ignore[index]


@pytest.mark.parametrize(
    "case",
    (
        "llama mistral-wide qwen2 qwen3 gemma2 gemma3 gpt2 phi3 phi3-long olmo2 olmo3 granite gpt-neox mixtral-wide "
        "qwen3-moe-wide gpt-oss-wide llama4-wide deepseek-v2-lite deepseek-v3-wide"
    ).split(),
)
def test_families_of_the_host(case: str) -> None:
    graph = build_config(config_from_json(load_case(case)["config"], case))
    compile_for(graph, presets.host(threads=1), Bounds(batch=1, context=16))


def test_targets_of_make_that_are_named_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", README)) <= targets


def test_links_lead_to_files_and_headings() -> None:
    for page in (page for page in PAGES if page.name != "LOG.md"):
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if "://" not in link:
                file, _, heading = link.partition("#")
                target = (page.parent / file).resolve() if file else page
                assert target.exists(), f"{page.name}: {link}"
                assert not heading or heading in headings(target), f"{page.name}: {link}"


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def speeds() -> dict[str, list[float]]:
    """The table of speeds: figures of each row."""
    rows = [row.strip("| ").split("|") for row in SPEED.splitlines() if row.startswith("| ") and re.search(r"\d", row)]
    figures = re.compile(r"\d[\d,.]*")
    named = {row[0].strip(" *"): [figures.findall(cell) for cell in row[1:]] for row in rows}
    return {name: [float(found[0].replace(",", "")) for found in row if found] for name, row in named.items()}


def test_ratios_of_speed_follow_from_the_speeds_beside_them() -> None:
    rows = speeds()
    for ratio, ours, theirs in (
        ("ratio, same file** (median of the rounds' ratios)", "Undiced, Q4_1 file", "llama.cpp, the same file"),
        ("ratio, Q4_1 against its Q4_0", "Undiced, Q4_1 file", "llama.cpp, its repacked Q4_0"),
        ("ratio, Q4_0 against Q4_0", "Undiced, that Q4_0 file", "llama.cpp, its repacked Q4_0"),
    ):
        quotients = [a / b for a, b in zip(rows[ours], rows[theirs], strict=True)]
        assert rows[ratio] == pytest.approx(quotients, rel=0.15), ratio  # ratios are medians of rounds


def test_the_share_of_the_limit_follows_from_the_bytes_of_a_token() -> None:
    """Decode reads the file's weights, but for what a token does not need, once per token."""
    share, bandwidth, megabytes, limit = (
        float(re.search(pattern, SPEED)[1])  # type: ignore[index]
        for pattern in (r"\| (\d+) % of", r"% of ([\d.]+) GB/s", r"(\d+) MB of weights", r"would be (\d+) tokens")
    )
    assert limit == pytest.approx(bandwidth * 1000 / megabytes, rel=0.01)
    assert share == pytest.approx(100 * speeds()["Undiced, Q4_1 file"][0] / limit, rel=0.03)
    assert megabytes * 1e6 == pytest.approx(CATALOG[MODEL].nbytes, rel=0.05)


def test_the_measured_ratio_of_decode_is_in_the_log() -> None:
    assert "to 2.10x of llama.cpp on the same file at 5d4ab1e" in " ".join(
        (ROOT / "docs" / "LOG.md").read_text().split()
    )
    assert speeds()["ratio, same file** (median of the rounds' ratios)"][0] == 2.10 and "commit 5d4ab1e" in SPEED


def test_the_table_of_peers_and_its_picture_are_what_the_kept_runs_come_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    report = importlib.import_module("peer_report")
    records = report.kept()
    assert README.split(report.BEGIN)[1].split(report.END)[0] == report.readme(records), "benchmarks/peers.py --report"
    if report.counted(records):
        assert report.PICTURE.read_bytes() == report.picture(records), "python benchmarks/peers.py --report"


def test_the_range_of_the_70b_figure_is_the_page_s() -> None:
    row = next(
        line for line in (ROOT / "docs" / "validation.md").read_text().splitlines()
        if line.startswith("| llama-3.3-70b on 7 wse3, one user ")
    )  # fmt: skip
    figures = [float(figure.replace(",", "")) for figure in re.findall(r"\d[\d,.]*\d", row.split("|")[4])]
    value, low, _, high = map(round, figures)
    assert (value, low, high) == (1267, 1075, 1297) and "1,267" in README


def test_so_many_damaged_files() -> None:
    fuzzers = [
        (ROOT / "tests" / "property" / f"test_{name}.py").read_text() for name in ("hostile_files", "wafer_files_fuzz")
    ]
    assert all(re.search(r"FEW, MANY, \w+ = \d+, 20_000,", text) for text in fuzzers)


@pytest.mark.slow
def test_the_other_clock() -> None:
    command = [sys.executable, "-m", "undiced", "simulate", "llama-3.3-70b", "--clock", "0.85", "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert round(found["tokens_per_second"]) == 989
