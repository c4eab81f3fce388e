"""What a simulated kernel leaves to look at: a heat map of its links, and a trace of its cores."""

import json
from xml.etree import ElementTree

import pytest
from support.commands import run
from support.trace_events import read

from undiced.core.errors import CannotWriteError, InvalidRequestError
from undiced.sim.trace.fabric import watched

KERNEL = "examples/fabric/level_tree.py"


def test_loads_and_operations_of_a_kernel_are_drawn_and_traced(tmp_path):
    drawing, trace = tmp_path / "loads.svg", tmp_path / "trace.json"
    found = json.loads(run("fabric", "run", KERNEL, "--loads", str(drawing), "--trace", str(trace), "--json"))
    words = " ".join(ElementTree.parse(drawing).getroot().itertext())
    assert f"{found['wavelet_hops']:,} wavelets passed" in words and "Simulated, not measured" in words
    assert f"{found['busiest_link_wavelets']:,} wavelets, " in words
    told = read(trace.read_text())
    assert told.about["clock_hz"] == found["clock_hz"] and told.about["source"] == "simulated, not measured"
    lanes = [one for where, one in told.slices.items() if told.processes[where[0]] == "steps"]
    for step in found["steps"]:
        parts = [each["args"] for lane in lanes for each in lane if each["name"] == step["name"]]
        assert min(each["from_cycle"] for each in parts) == step["start"]
        assert max(each["from_cycle"] + each["cycles"] for each in parts) == step["end"]
    cores = {name for name in told.processes.values() if name != "steps"}
    assert cores == {f"core ({x}, {y})" for x in range(found["columns"]) for y in range(found["rows"])}
    ends = [each["args"]["from_cycle"] + each["args"]["cycles"] for lane in told.slices.values() for each in lane]
    assert max(ends) <= found["cycles"]
    threads = {told.threads[where] for where in told.slices if told.processes[where[0]] != "steps"}
    assert "main thread" in threads and threads <= {"main thread", *(f"microthread {n}" for n in range(8))}


def test_few_cores_stand_for_a_large_mesh():
    assert watched(3, 2) == ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1))
    many = watched(755, 1170)
    assert len(many) <= 256 and {x for x, _ in many} == set(range(0, 755, 74))


@pytest.mark.parametrize(
    "options, error, said",
    [
        (("--loads", "loads.pdf"), InvalidRequestError, "neither .svg nor .png"),
        (("--loads", "/absent/loads.svg"), CannotWriteError, "/absent/loads.svg"),
        (("--trace", "/absent/trace.json"), CannotWriteError, "/absent/trace.json"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_runs(options, error, said):
    with pytest.raises(error, match=said):
        run("fabric", "run", "absent.py", *options)
