"""What links carried, by collective: it adds up to the layer, is told of the regions that are alike, and is kept in
files that nobody has to trust.
"""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from support.atlases import linked, made, mapped

from undiced.core.errors import InvalidRequestError, ProgramFileError
from undiced.sim.atlas.links import link_map
from undiced.sim.atlas.links_file import encoded, read
from undiced.sim.atlas.record import record
from undiced.sim.fabric.layer import Manner, pick, simulate_layer

NAME = "several wafers"


@pytest.fixture
def links():
    return linked(NAME).links.links


@pytest.fixture
def file(tmp_path, links):
    path = tmp_path / "loads.npz"
    path.write_bytes(encoded(links, made(NAME)[0]))
    return path


def test_collectives_by_themselves_add_up_to_the_layer(links):
    program, wafer = made(NAME)
    region, layer, runs = pick(program, None, None)
    whole = simulate_layer(program, wafer, region, runs, Manner(skew=9, jitter=5), position=program.bounds.context - 1)
    assert (links.region, links.layer) == (region, layer)
    assert np.array_equal(links.loads, whole.outcome.loads)
    moved = {(each.sums, each.value) for each in links.carried}
    assert moved == {
        (deed.kind == "Reduce", deed.made)
        for stream in links.streams
        for deed in linked(NAME).deeds[stream]
        if deed.kind in ("Reduce", "Multicast")
    }
    assert all(0 < each.cycles < whole.outcome.cycles for each in links.carried)


def test_regions_of_one_shape_and_code_are_alike_and_others_are_not(links):
    program, _ = made(NAME)
    assert linked(NAME).links.place == 0 and linked(NAME).links.alike == (0, 1, 2)
    other = replace(links, streams=tuple(reversed(links.streams)))
    assert link_map(program, other, links.context).alike == ()
    assert mapped(NAME).links is None and "link_loads" not in record(mapped(NAME))
    told = record(linked(NAME))["link_loads"]
    assert told["alike"] == (0, 1, 2) and len(told["collectives"]) == len(links.carried)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"program": "0" * 64}, "of another program"),
        ({"context": 64}, "of context 64, and the map of 4,096"),
        ({"region": 4}, "of another program"),
        ({"streams": ()}, "of another program"),
    ],
)
def test_loads_of_something_else_are_refused(links, change, words):
    with pytest.raises(InvalidRequestError, match=words) as refused:
        link_map(made(NAME)[0], replace(links, **change), 4096)
    assert refused.value.remedy


def test_a_file_holds_all_that_was_found(links, file):
    found = read(file)
    assert replace(found, carried=()) == replace(links, carried=())
    for kept, one in zip(found.carried, links.carried, strict=True):
        assert np.array_equal(kept.loads, one.loads) and replace(kept, loads=one.loads) == one
    with np.load(file) as held:
        assert held["loads"].shape == (len(links.carried), 24, 24, 5)


def packed(members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as held:
        for name, array in members.items():
            held.writestr(f"{name}.npy", array if isinstance(array, bytes) else saved(array))
    return made.getvalue()


def saved(array):
    made = io.BytesIO()
    np.save(made, array)
    return made.getvalue()


def huge():
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        made, {"descr": "<u4", "fortran_order": False, "shape": (16, 1 << 20, 1 << 20, 5)}
    )
    return made.getvalue()


def test_damaged_files_are_refused_with_a_remedy(tmp_path, file):
    with np.load(file) as held:
        about, loads = held["about"], held["loads"]
    good = {"about": about, "loads": loads}
    wrong = [
        b"",
        b"not a file of ours",
        file.read_bytes()[:1000],
        packed({"about": about}),
        packed(good | {"loads": loads[:-1]}),
        packed(good | {"loads": loads[..., :4]}),
        packed(good | {"loads": loads.astype(np.float32)}),
        packed(good | {"loads": np.array(["pickled", None], dtype=object)}),
        packed(good | {"loads": huge()}),
        packed(good | {"loads": saved(loads)[:-5]}),
        packed(good | {"about": np.frombuffer(b"{}", dtype=np.uint8)}),
        packed(good | {"about": np.frombuffer(about.tobytes().replace(b'"version":1', b'"version":2'), np.uint8)}),
    ]
    path = tmp_path / "wrong.npz"
    for data in wrong:
        path.write_bytes(data)
        with pytest.raises(ProgramFileError) as refused:
            read(path)
        assert refused.value.remedy
    path.write_bytes(packed(good))
    assert read(path).region == 0
