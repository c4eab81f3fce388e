"""Free parameters as fitted by `undiced validate --calibrate`; a test asserts that a rerun gives these values.

One set a machine generation. What no calibration row identifies is assumed instead: about the middle of the range that
it is sampled over.
"""

from __future__ import annotations

from undiced.machine.constant import assumed, derived

_HOW = "fitted by undiced validate --calibrate on"
_DECODE2 = f"{_HOW} V14, V18a, V21a"
_MULTICAST = f"{_HOW} V01, V03"
_COLUMN = f"{_HOW} V07"

WSE2_VECTOR_SETUP = derived(4.783, "cycle", _DECODE2)
WSE2_TRANSCENDENTAL = derived(75.36, "cycle", _DECODE2)
WSE2_STEP_SOFTWARE = derived(3.753, "cycle", _DECODE2)
WSE2_STRAIGHT_SETUP = assumed(30.0, "cycle", "as on WSE-3: no row of WSE-2 tells it apart", 5.0, 35.0)
LOCAL_TASK = assumed(43.0, "cycle", "as a data task, [AM]: the only kind of task that was measured", 20.0, 80.0)

WSE3_VECTOR_SETUP = derived(4.48, "cycle", f"{_HOW} K1")
WSE3_STRAIGHT_SETUP = assumed(30.35, "cycle", "K2 alone says this; what K3 leaves open is the range", 26.0, 35.0)
LOOP_ITERATION = assumed(8.0, "cycle", "three descriptors loaded; K1 sees only its sum with the set-up", 0.0, 16.0)
WSE3_TRANSCENDENTAL = assumed(
    73.0, "cycle", "as fitted on WSE-2; [AM]: about 90 for an exponential of an older build", 25.0, 90.0
)
WSE3_STEP_SOFTWARE = derived(8.658, "cycle", f"{_HOW} S29")
SCALAR_STEP = assumed(44.0, "cycle", "as a pass of the emit loop, [AM]: nothing tells it from the draw", 20.0, 88.0)
DRAW = derived(9154.0, "cycle", f"{_HOW} S27: what the head takes beside everything else")

_ONE_SUM = "rows see only its sum with the software of steps"
WSE2_COLLECTIVE_ENTRY = assumed(80.0, "cycle", _ONE_SUM, 0.0, 160.0)
WSE3_COLLECTIVE_ENTRY = assumed(170.0, "cycle", _ONE_SUM, 0.0, 340.0)
STAR_MEMBER = assumed(20.0, "cycle", "nothing to a chain's step: no star was measured with its software", 0.0, 40.0)
ROUTE_WRITE = assumed(10.0, "cycle", "no row has another number of writes than 28 a layer", 0.0, 20.0)

TIMER = assumed(18.0, "cycle", "[AM]: the interval between two time stamps holds about 18 cycles of timer", 10.0, 20.0)
WSE3_MULTICAST_START = derived(2.0, "cycle", _MULTICAST)
WSE3_LINK_RATE = derived(0.8889, "wavelet/cycle", _MULTICAST)
MULTICAST_SKEW = assumed(
    30.0, "cycle", "nothing in the fastest mode of V01 to V04, 23 to 59 in their median one", 0.0, 59.0
)
DATA_TASK = derived(42.94, "cycle", _COLUMN)
COLUMN_OVERLAP = derived(2.302, "wavelet", f"{_COLUMN}; phenomenological")
