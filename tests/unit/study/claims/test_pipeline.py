"""How busy a pipeline is: closed forms beside sequences that go around in it, one event after the other."""

import numpy as np
import pytest
from support.claim_bench import SaidBench, timing

from undiced.study.claims.bench import Bench
from undiced.study.claims.pipeline import BUSY, Cell, Judged, Pipe, sweep
from undiced.study.claims.pipeline_picture import charts
from undiced.study.claims.spread import even
from undiced.study.variants import Timings


def gone_around(pipe, streams, rounds=60):
    """Tokens a cycle, and the shares of stages' and of wafers' time with a token, of sequences that enter again."""
    free, ready, spans = [0.0] * len(pipe.cycles), [0.0] * streams, []
    for _ in range(rounds):
        for number in range(streams):
            at = ready[number]
            for stage, cycles in enumerate(pipe.cycles):
                at = max(at, free[stage])
                spans.append((stage, at, at + cycles))
                at = free[stage] = at + cycles
            ready[number] = at
    low, high = (rounds // 3) * streams, (2 * rounds // 3) * streams
    ends = [end for stage, _, end in spans if stage == len(pipe.cycles) - 1]
    begin, end = ends[low], ends[high]
    inside = [(s, max(a, begin), min(b, end)) for s, a, b in spans if b > begin and a < end]
    busy = sum(b - a for _, a, b in inside) / (len(pipe.cycles) * (end - begin))
    return (high - low) / (end - begin), busy


@pytest.mark.parametrize("streams", [1, 2, 3, 4, 6, 9])
@pytest.mark.parametrize("cycles", [(5.0, 5.0, 5.0), (3.0, 7.0, 2.0, 4.0), (9.0, 1.0, 1.0, 1.0)])
def test_closed_forms_are_what_sequences_that_go_around_find(cycles, streams):
    pipe = Pipe(cycles, tuple(range(len(cycles))))
    rate, busy = gone_around(pipe, streams)
    assert 1 / pipe.period(streams) == pytest.approx(rate, rel=0.02)
    assert pipe.stages_busy(streams) == pytest.approx(busy, rel=0.02)


def test_all_stages_are_busy_with_as_many_sequences_as_stages_and_no_fewer():
    pipe = Pipe((4.0,) * 6, (0, 0, 1, 1, 2, 2))
    assert pipe.enough == 6
    assert [pipe.stages_busy(n) for n in (1, 3, 6, 60)] == pytest.approx([1 / 6, 0.5, 1, 1])
    assert [pipe.wafers_busy(n) for n in (1, 3, 6)] == pytest.approx([1 / 3, 1, 1])
    uneven = Pipe((8.0, 4.0), (0, 1))
    assert uneven.enough == 2 and uneven.stages_busy(10) == pytest.approx(0.75)
    assert Pipe((5.0, 0.1), (0, 0)).enough == 2


@pytest.mark.parametrize("regions", [1, 2, 5, 9])
def test_even_cuts_are_as_many_as_asked_and_none_is_empty(regions):
    cycles = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0]
    ends = even(cycles, regions)
    assert len(ends) == regions and ends[-1] == len(cycles) and sorted(set(ends)) == list(ends)
    assert even(cycles, 10) is None


def judged(tokens, intervals, stages=None):
    """A model on 1, 2 and 4 wafers of one stage each: cycles of a token and of the slowest stage on each."""
    cells, timed = [], {}
    for wafers, token, interval in zip((1, 2, 4), tokens, intervals, strict=True):
        cells.append(Cell(wafers, wafers, 1, 1e9 / token, 1000 * interval / 1e9, 1.0, 1.0, True))
        each = (timing(token, interval, stages or (interval,) * wafers),) * 2
        timed[wafers] = Timings(each, each, (0.0,) * len(each))
    return Judged("m", cells, timed)


def kinds(found):
    return [verdict.kind for verdict in found.verdicts()]


def test_each_part_is_judged_by_its_own_figures():
    assert kinds(judged((1000, 1010, 1020), (1000, 505, 255))) == ["reproduced"] * 3
    slower = judged((1000, 1010, 1500), (1000, 505, 255)).verdicts()
    assert slower[0].kind == "holds only if" and slower[0].words == "m lies on 2 wafers at most"
    assert judged((1000, 1500, 1600), (1000, 505, 255)).verdicts()[0].kind == "not reproduced"
    later = judged((1000, 1010, 1020), (100, 100, 300)).verdicts()
    assert later[1].kind == "holds only if" and "2 wafers" in later[1].words
    assert any("its speed on 4 wafers" in each.what for each in judged((1, 2, 3), (1, 1, 1)).findings())


def test_wafers_that_are_never_busy_enough_are_told():
    found = judged((1000, 1010, 1020), (1000, 505, 255), (9.0, 1.0, 1.0, 1.0)).verdicts()[2]
    assert found.kind == "not reproduced" and f"{(1 + 3 / 9) / 4:.0%}" in found.words and BUSY == 0.95


@pytest.mark.slow
def test_a_model_is_spread_over_as_many_wafers_as_asked():
    bench = Bench(samples=1)
    assert bench.spread("llama-3.3-70b", 6) is None
    for wafers in (1, 3, 24):
        program = bench.programmed("llama-3.1-8b", wafers)
        assert program.wafers == wafers and len(program.regions) == 2 * wafers


def test_charts_have_a_line_for_each_choice_that_fits():
    cells = [
        Cell(wafers, 2 * wafers, streams, 100.0, 0.05, 0.5, 0.6, streams < 9)
        for wafers in (8, 12)
        for streams in (1, 8, 16)
    ]
    drawn = list(charts({"m": cells}, "simulated at 1 GHz"))
    assert [each.name for each in drawn[0].series] == ["1 in flight", "8 in flight"]
    assert [each.name for each in drawn[-1].series] == ["8 wafers, 16 stages", "12 wafers, 24 stages"]
    assert drawn[2].series[0].points[0][1] == pytest.approx(60) and drawn[3].series[0].points[0][1] == pytest.approx(50)
    assert np.isfinite([y for each in drawn for line in each.series for _, y in line.points]).all()


def test_a_sweep_leaves_out_wafers_that_do_not_hold_the_model():
    class Empty(SaidBench):
        def spread(self, model, wafers):
            return None

    assert sweep(Empty(), "llama-3.1-8b") == []
