"""Free parameters as fitted by `undiced validate --calibrate`; a test asserts that a rerun gives these values.

One set a machine generation. What no calibration row identifies is assumed instead, with the range it is varied over.
"""

from __future__ import annotations

from undiced.machine.constant import assumed, derived

_HOW = "fitted by undiced validate --calibrate on"
_DECODE2 = f"{_HOW} V14, V18a, V21a"
_ENGINE3 = f"{_HOW} S27, S29, S29b"
_MULTICAST = f"{_HOW} V01 to V05"
_TASKS = f"{_HOW} V06, V07"

WSE2_VECTOR_SETUP = derived(5.063, "cycle", _DECODE2)
WSE2_TRANSCENDENTAL = derived(77.43, "cycle", _DECODE2)
WSE2_STEP_SOFTWARE = derived(11.82, "cycle", _DECODE2)
WSE2_STRAIGHT_SETUP = assumed(31.0, "cycle", "as on WSE-3: no row of WSE-2 tells it apart", 5.0, 35.0)
LOOP_ITERATION = assumed(8.0, "cycle", "three descriptors loaded; rows see only its sum with the set-up", 0.0, 16.0)
LOCAL_TASK = assumed(43.0, "cycle", "as a data task, V06: the only kind of task that was measured", 20.0, 80.0)

WSE3_VECTOR_SETUP = assumed(5.063, "cycle", "as on WSE-2: no row separates it from scalars and collectives", 3.0, 12.0)
WSE3_STRAIGHT_SETUP = assumed(
    31.0, "cycle", "[AM]: rotations and activations of a prefill, 26 to 35 an operation outside loops", 26.0, 35.0
)
WSE3_TRANSCENDENTAL = derived(18.77, "cycle", _ENGINE3)
WSE3_STEP_SOFTWARE = derived(25.57, "cycle", _ENGINE3)
SCALAR_STEP = derived(31.08, "cycle", _ENGINE3)
REPAINT = assumed(
    400.0, "cycle", "eight colors [AM], about 50 cycles each; no row separates it from collectives", 0.0, 700.0
)

TIMER = assumed(18.0, "cycle", "the interval between two time stamps holds about 18 cycles of timer", 10.0, 20.0)
MULTICAST_START = derived(2.008, "cycle", _MULTICAST)
WSE3_LINK_RATE = derived(0.8891, "wavelet/cycle", _MULTICAST)
LATE_WAVELET = derived(1.469, "cycle/wavelet", f"{_HOW} the median mode of V01 to V04; phenomenological")
LATE_LIMIT = derived(56.55, "cycle", f"{_HOW} the median mode of V01 to V04; phenomenological")
DATA_TASK = derived(42.86, "cycle", _TASKS)
EMIT = derived(43.85, "cycle", _TASKS)
COLUMN_OVERLAP = derived(2.296, "wavelet", f"{_HOW} V07; phenomenological")
