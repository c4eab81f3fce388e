"""Verdicts of all claims follow their figures: a changed wafer, speed or share changes them."""

import numpy as np
import pytest
from support.claim_bench import SaidBench, timings, with_core, with_mesh

from undiced.machine.interval import Interval
from undiced.study.claims import chip, making, speed
from undiced.study.claims.every import CLAIMS

PLAIN = {"llama-3.3-70b": timings(920, 1050, 1190), "llama-3.2-1b": timings(7000, 8000, 9000)}


def verdict(compute, bench):
    return compute(bench).verdict


def test_transistors_are_bounded_by_memory_and_area():
    assert verdict(chip.transistors, SaidBench()).kind == "not testable"
    assert verdict(chip.transistors, SaidBench(wafer=with_core(sram_bytes=96 * 1024))).kind == "not reproduced"
    assert verdict(chip.transistors, SaidBench(wafer=with_mesh(die_area_mm2=30_000))).kind == "not reproduced"


def test_cores_are_those_that_programs_may_use():
    assert verdict(chip.cores, SaidBench()).kind == "reproduced"
    fewer = verdict(chip.cores, SaidBench(wafer=with_mesh(width=500)))
    assert fewer.kind == "holds only if" and "315,000 of them" in fewer.words
    none = verdict(chip.cores, SaidBench(wafer=with_mesh(width=500, cores_enabled=600_000)))
    assert none.kind == "not reproduced" and "65.0% of them" in none.words


def test_a_peak_that_is_dense_needs_no_zeros():
    sparse = verdict(chip.peak, SaidBench())
    assert sparse.kind == "holds only if" and sparse.words.startswith("87.3% of all products are of zeros")
    assert verdict(chip.peak, SaidBench(wafer=with_core(lanes_16bit=80))).kind == "reproduced"
    half = verdict(chip.peak, SaidBench(wafer=with_core(lanes_16bit=32)))
    assert half.words.startswith("49.3%")


def test_memory_is_what_code_leaves():
    counted = verdict(chip.memory, SaidBench())
    assert counted.kind == "holds only if" and "1,832 bytes at most" in counted.words
    assert verdict(chip.memory, SaidBench(code_bytes=1000)).kind == "reproduced"
    assert verdict(chip.memory, SaidBench(wafer=with_core(sram_bytes=24 * 1024))).kind == "not reproduced"


def test_the_part_of_a_gpu_that_makes_a_thousand_is_found():
    found = verdict(chip.beside_a_gpu, SaidBench())
    assert found.kind == "holds only if" and "second-level cache alone" in found.words
    assert verdict(chip.beside_a_gpu, SaidBench(wafer=with_core(sram_bytes=120 * 1024))).kind == "reproduced"
    assert verdict(chip.beside_a_gpu, SaidBench(wafer=with_core(sram_bytes=4 * 1024))).kind == "not reproduced"


def test_the_speed_on_wafers_needs_as_many_accepted_tokens_as_it_takes():
    found = verdict(speed.wafers, SaidBench(PLAIN))
    assert found.kind == "holds only if" and "accepted at 0.63 a token (0.57 to 0.69)" in found.words
    assert verdict(speed.wafers, SaidBench({**PLAIN, "llama-3.3-70b": timings(2300, 2350, 2400)})).kind == "reproduced"
    findings = {each.what: each.value for each in speed.wafers(SaidBench(PLAIN)).findings}
    (edit,) = (value for what, value in findings.items() if "lookups" in what and "(edit, measured)" in what)
    plain = next(value for what, value in findings.items() if "without speculation" in what)
    assert plain.median < edit.median < findings["with llama-3.2-1b drafting, accepted at 0.8 (assumed)"].median
    slow = {**PLAIN, "llama-3.3-70b": timings(40, 45, 50, interval_cycles=2e7)}
    assert verdict(speed.wafers, SaidBench(slow)).kind == "not reproduced"


def test_a_service_is_shared_by_as_many_as_its_speed_takes():
    found = verdict(speed.service, SaidBench(PLAIN))
    assert found.kind == "holds only if" and "sequences share 8 x h100" in found.words
    main = SaidBench().group("h100", 8, "llama-3.3-70b")
    count = int(found.words.split()[1].replace(",", ""))
    rates = [np.median(1 / main.shared_token_s(n, 1000, 500)) for n in (count - 1, count)]
    assert rates[1] <= speed.SERVICE < rates[0]


def test_seventy_times_is_a_matter_of_load_and_speculation():
    found = speed.times(SaidBench(PLAIN))
    assert found.verdict.kind == "holds only if" and "70 times (the wafers alone speculate)" in found.verdict.words
    assert speed.times(SaidBench({**PLAIN, "llama-3.3-70b": timings(2500, 2550, 2600)})).verdict.kind == "reproduced"
    slow = speed.times(SaidBench({**PLAIN, "llama-3.3-70b": timings(9, 10, 10, interval_cycles=2e7)}))
    assert slow.verdict.kind == "not reproduced"
    (name, fall) = found.data[0]
    assert name == "waterfall"
    factors = [step["factor"]["median"] for step in fall["steps"]]
    assert np.prod(factors) == pytest.approx(speed.SPEED / speed.SERVICE)
    assert "left over" in found.draw().document() and "residency" in found.draw().document()


def test_the_first_token_names_the_longest_prompt_where_it_is_late():
    assert verdict(speed.first_token, SaidBench(PLAIN)).kind == "reproduced"
    late = SaidBench({**PLAIN, "llama-3.3-70b": timings(1000, 1000, 1000, interval_cycles=1e6)})
    assert verdict(speed.first_token, late).words == "prompts have 170 tokens at most"
    never = SaidBench({**PLAIN, "llama-3.3-70b": timings(5, 5, 5)})
    assert verdict(speed.first_token, never).kind == "not reproduced"


def test_an_answer_takes_seconds_if_enough_share_the_gpus_or_wafers_speculate():
    found = verdict(speed.reasoning, SaidBench(PLAIN))
    assert found.kind == "holds only if" and "speculate" in found.words and "share 8 x h100" in found.words
    assert (
        verdict(speed.reasoning, SaidBench({**PLAIN, "llama-3.3-70b": timings(3000, 3050, 3100)})).kind == "reproduced"
    )
    slow = {"llama-3.3-70b": timings(20, 20, 21, interval_cycles=4e7), "llama-3.2-1b": timings(25, 25, 26)}
    assert verdict(speed.reasoning, SaidBench(slow)).kind == "not reproduced"


def test_a_fine_tune_waits_for_what_nobody_describes():
    assert making.fine_tune(SaidBench()).verdict.kind == "holds only if"
    load = Interval(1.0, 2.0, 3.0)
    assert "78 MB/s" in making.live(load, 141e9, True, 1800).words
    assert making.live(load, 141e9, False, 1800).kind == "not testable"
    assert making.live(Interval(3600.0, 3600.0, 3600.0), 141e9, True, 1800).kind == "not reproduced"


@pytest.mark.parametrize(
    ("apart", "close", "patch", "kind"),
    [(0.99, 0.98, 1.0, "reproduced"), (0.99, 0.36, 0.04, "holds only if"), (0.99, 0.36, None, "not reproduced"),
     (0.50, 0.36, 0.04, "not reproduced")],
)  # fmt: skip
def test_defects_cost_the_wafer_where_they_gather(apart, close, patch, kind):
    found = making.survive(Interval(apart, apart, apart), Interval(close, close, close), patch)
    assert found.kind == kind


def test_every_claim_of_the_interview_is_there_with_a_rule():
    assert list(CLAIMS) == [
        "transistors", "cores", "petaflops", "sram", "sram-of-h100", "2314", "32", "70x", "first-token", "reasoning",
        "several-wafers", "fine-tune", "defects",
    ]  # fmt: skip
    assert all("eproduced" in claim.rule for claim in CLAIMS.values())
