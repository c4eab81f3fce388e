"""Maps of defects: drawn as the process says, read from files that nobody trusts, and repaired or refused by row."""

import numpy as np
import pytest

from undiced.core.errors import CompileError
from undiced.machine import toy, wse3
from undiced.machine.defect_file import read_defects
from undiced.machine.defects import DefectMap
from undiced.machine.repair import UnrepairableError, repair
from undiced.machine.scatter import area_mm2, fall, scatter
from undiced.machine.silicon import Process, gathered
from undiced.machine.spares import spare_places
from undiced.program.wafer.individual import Cut

WSE3 = wse3()


def counts(process, wafers=400, seed=3):
    fallen = fall(process, WSE3, wafers, np.random.default_rng(seed), np.random.default_rng(9))
    return np.bincount(fallen.wafer, minlength=wafers), fallen


def test_a_wafer_has_as_many_defects_as_its_density_says():
    expected = area_mm2(WSE3) * 0.001
    alone, _ = counts(Process(0.001))
    assert 45 < expected < 46
    assert alone.mean() == pytest.approx(expected, rel=0.03) and alone.var() == pytest.approx(expected, rel=0.25)


def test_gathering_keeps_the_average_and_spreads_wafers():
    alone, _ = counts(Process(0.001))
    together, _ = counts(gathered(0.001))
    assert together.mean() == pytest.approx(alone.mean(), rel=0.05)
    assert together.var() > 2 * alone.var()


def test_the_rim_is_denser_by_what_is_asked_for():
    _, fallen = counts(Process(0.01, edge=3.0), wafers=100)
    columns, rows = WSE3.built
    away = np.hypot((2 * fallen.x + 1 - columns) / columns, (2 * fallen.y + 1 - rows) / rows)
    middle = (away < 0.5).sum() / (np.pi / 4 * 0.25)
    rim = (away > 1.2).sum() / (1 - _covered(1.2))
    assert 2.5 < rim / middle < 4.0


def _covered(radius):
    """The share of a square of side 2 that a circle about its middle covers."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 501)] * 2))
    return float((np.hypot(*grid) < radius).mean())


def test_flaws_of_a_mask_come_back_in_every_field_of_every_wafer():
    columns, rows = WSE3.built
    _, fallen = counts(Process(0.0, repeaters=1.5), wafers=3)
    assert len(fallen.x) and len(fallen.x) % (3 * 84) == 0
    flaws = len(fallen.x) // (3 * 84)
    assert len(set(zip(fallen.x % (columns // 7), fallen.y % (rows // 12), strict=True))) == flaws


def test_equal_seeds_give_equal_maps_and_wafers_of_a_lot_differ():
    assert scatter(Process(), WSE3, 7, 2) == scatter(Process(), WSE3, 7, 2)
    assert scatter(Process(), WSE3, 7, 2).digest != scatter(Process(), WSE3, 7, 3).digest


@pytest.mark.parametrize(
    "wrong", [{"density": -0.1}, {"density": float("nan")}, {"density": 11.0}, {"alpha": 0.0}, {"fatal_share": 1.5},
              {"router_share": 0.7, "link_share": 0.7}, {"edge": float("inf")}],
)  # fmt: skip
def test_a_process_out_of_range_is_refused(wrong):
    with pytest.raises(CompileError, match="out of range") as told:
        Process(**wrong)
    assert told.value.remedy


def test_spares_end_equal_parts_of_a_row():
    assert spare_places(8, 2) == (4, 9)
    places = spare_places(755, 59)
    assert len(places) == 59 and places[-1] == 813 and set(np.diff((-1, *places))) == {13, 14}


def small(cores, links=()):
    """A map of a wafer of 4 rows with 8 cores and a spare."""
    return DefectMap("a map", 9, 4, tuple(cores), tuple(links))


def test_a_row_passes_a_dead_core_and_its_neighbors_stay():
    one = repair(small([(2, 1)]), toy(8, 4))
    assert [one.row(y) for y in (0, 1)] == [list(range(8)), [0, 1, 3, 4, 5, 6, 7, 8]]
    assert [(s.row, s.start, s.stop, s.by) for s in one.shifts] == [(1, 2, 8, 1)]


def test_a_cut_link_is_not_used():
    one = repair(small([], [Cut(3, 2, "east")]), toy(8, 4))
    assert one.row(2) == [0, 1, 2, 3, 5, 6, 7, 8]
    one = repair(small([], [Cut(3, 2, "south")]), toy(8, 4))
    assert 3 not in one.row(2) and one.row(3) == list(range(8))


def test_an_unrepairable_wafer_names_its_rows_and_what_would_help():
    with pytest.raises(UnrepairableError, match=r"row 1 \(dead or cut off at columns 2, 5\)") as told:
        repair(small([(2, 1), (5, 1)]), toy(8, 4))
    assert told.value.rows == (1,) and "2 spares a row instead of 1 would repair it" in told.value.remedy
    with pytest.raises(UnrepairableError, match=r"row 3 \(dead or cut off at columns 4, 5\)") as told:
        repair(small([(4, 3), (5, 3)]), toy(8, 4))
    assert "Links past two dead cores" in told.value.remedy


def test_rows_that_a_program_does_not_use_need_no_repair():
    assert repair(small([(4, 3), (5, 3)]), toy(8, 4), rows=(0, 2)).last == 2


@pytest.mark.parametrize(
    ("cores", "links"),
    [([(9, 0)], []), ([(0, 4)], []), ([(-1, 0)], []), ([], [Cut(8, 0, "east")]), ([], [Cut(0, 0, "south-west")]),
     ([], [Cut(7, 0, "skip")]), ([], [Cut(0, 3, "south")]), ([], [Cut(0, 0, "up")])],
)  # fmt: skip
def test_defects_off_the_wafer_are_refused(cores, links):
    with pytest.raises(CompileError, match="a map") as told:
        small(cores, links)
    assert told.value.remedy


def test_a_map_of_another_wafer_is_refused_with_both_sizes():
    with pytest.raises(CompileError, match=r"of 9 x 4 cores, and toy-9x4 has 10 x 4, 1 spare"):
        repair(small([]), toy(9, 4))


def written(tmp_path, text):
    path = tmp_path / "defects"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


G85 = """<?xml version="1.0"?><Maps><Map xmlns="http://www.semi.org" SubstrateType="Wafer"><Device BinType="{kind}"
 NullBin="{null}"><Bin BinCode="{good}" BinQuality="Pass"/><Bin BinCode="{bad}" BinQuality="Fail"/><Data>{rows}</Data>
</Device></Map></Maps>"""


def g85(rows, **how):
    text = "".join(f"<Row><![CDATA[{row}]]></Row>" for row in rows)
    return G85.format(rows=text, **{"kind": "Ascii", "null": "_", "good": "1", "bad": "X", **how})


def test_a_csv_of_defects_is_read(tmp_path):
    text = "# a comment\nx,y,what\n2,1,core\n 5 , 0 , router\n3,2,east\n\n"
    found = read_defects(written(tmp_path, text), 9, 4)
    assert found.cores == ((2, 1), (5, 0)) and found.links == (Cut(3, 2, "east"),)


def test_a_g85_map_of_cores_is_read_however_its_codes_are_written(tmp_path):
    plain = read_defects(written(tmp_path, g85(["111", "1X_"])), 3, 2)
    assert plain.cores == ((1, 1), (2, 1))
    wide = g85(["000 000 000", "000 255 015"], kind="Decimal", null="255", good="000", bad="015")
    assert read_defects(written(tmp_path, wide), 3, 2).cores == plain.cores
    joined = g85(["0A0A0A", "0AFF0B"], kind="HexaDecimal", null="FF", good="0A", bad="0B")
    assert read_defects(written(tmp_path, joined), 3, 2).cores == plain.cores


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"), ("a,b\n", "does not begin"), ("x,y,what\n1,2\n", "entry 2"),
        ("x,y,what\n1,-2,core\n", "entry 2"), ("x,y,what\n1,2,dust\n", "breaks 'dust'"),
        ("x,y,what\n99,0,core\n", "off the wafer"), (b"\xff\xfe\x00", "no text"), ("x,y,what\n1²,2,core\n", "entry 2"),
        ("<a", "no XML"),
        ("<Maps/>", "no G85 map"), (g85(["11", "11"]), "of 2 x 2 devices"), (g85(["111"]), "of 3 x 1"),
        (g85(["111", "1Q1"]), "bin 'Q'"), (g85(["111", "11"]), "of 2/3 x 2"),
        ('<!DOCTYPE a [<!ENTITY b "cc">]><a>&b;</a>', "document type"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_map_of_this_wafer_is_refused(tmp_path, text, says):
    with pytest.raises(CompileError, match=says) as told:
        read_defects(written(tmp_path, text), 3, 2)
    assert told.value.remedy


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CompileError, match="No such file"):
        read_defects(tmp_path / "none.csv", 3, 2)
