"""Published points of collectives beside what the fabric simulator finds for kernels written by hand. Data alone.

Kernels are those of examples/fabric; a test runs them again and holds every figure of this table.
"""

from __future__ import annotations

from dataclasses import dataclass

_TIMER = "16 cycles, as at every point: the pair of time stamps"
_EXACT = "exact"
_STAR = "one cycle, as at every size: the hop of the nearest member"
_TERMS = "of contention and distance the formula takes the larger, a program pays for parts of both"


@dataclass(frozen=True, slots=True)
class FabricRow:
    """A point in cycles.

    Attributes:
        example: the kernel; size: its parameters, in the order of its function.
        wires: without any set-up. whole: with the machine's. None where nothing is to be compared.
        why: the difference, in words.
    """

    id: str
    what: str
    example: str
    size: tuple[int, ...]
    machine: str
    published: float
    wires: int | None
    whole: int | None
    why: str


def _multicasts() -> tuple[FabricRow, ...]:
    """Fastest mode, at the link's own rate. Of one core it is measured to its neighbor."""
    cores = (1, 16, 64, 256, 512)
    points: dict[int, tuple[str, tuple[int | None, ...]]] = {
        64: ("V01", (39, 53, 101, 293, 549)),
        256: ("V02", (93, 107, 155, 347, 603)),
        1024: ("V03", (309, 323, 371, 563, 819)),
        2048: ("V04", (597, None, 659, 851, 1107)),
    }
    return tuple(
        FabricRow(name, f"multicast, {size} B, " + (f"{many} cores" if many > 1 else "to the neighbor"), "multicast",
                  (max(many, 2), 1, size // 4), "wse3", cycles, cycles - 16, None, _TIMER)
        for size, (name, known) in points.items()
        for many, cycles in zip(cores, known, strict=True) if cycles is not None
    )  # fmt: skip


def _formulas() -> tuple[FabricRow, ...]:
    """Formulas of the line model at integer sizes, and what kernels take; their ramps are those of both machines."""
    wavelets = (1, 16, 64, 256, 1024)
    known: dict[str, tuple[str, int, tuple[int, ...], tuple[int, ...], str]] = {
        "broadcast": ("multicast", 512, (517, 532, 580, 772, 1540), (517, 532, 580, 772, 1540), _EXACT),
        "chain": ("chain", 512, (3067, 3082, 3130, 3322, 4090), (3067, 3082, 3130, 3322, 4090), _EXACT),
        "star": ("star", 512, (516, 8181, 32709), (517, 8182, 32710), _STAR),
        "tree": ("tree", 512, (561, 628, 845, 2349, 9261), (557, 609, 923, 2583, 9756), _TERMS),
        "two-phase": ("two_phase", 256, (407, 435, 525, 887, 2333), (406, 421, 527, 929, 2465), _TERMS),
    }
    between = {"multicast": (1,), "two_phase": (16,)}
    return tuple(
        FabricRow("[NOWR]", f"{name}, {cores} cores, {count} wavelets", example,
                  (cores, *between.get(example, ()), count), "wse2", formula, cycles, None, why)
        for name, (example, cores, formulas, found, why) in known.items()
        for count, formula, cycles in zip(wavelets, formulas, found, strict=False)
    )  # fmt: skip


def _vendor() -> tuple[FabricRow, ...]:
    """The vendor's simulator: its links pass one wavelet per cycle, and its kernels are not described."""
    copy = "the one set-up takes 10 (9) cycles there, and here the 30 that were fitted where descriptors are loaded"
    down = "as the copy along a row; what else it does is not described"
    chain = "a step takes 13.5 (15.4) cycles there, and here the 6 that were measured on hardware"
    naive = "a step's operations and task cost 103 cycles here, 82 (23) there"
    return tuple(
        FabricRow("V10", what, example, size, machine, published, wires, whole, why)
        for what, example, size, why, points in (
            ("copy over 4 cores, 4 wavelets", "copy_line", (4, 4), copy, ((22, 12, 42), (21, 12, 43))),
            ("the same along a column", "vertical_copy", (4, 4), down, ((35, 12, 42), (32, 12, 43))),
            ("pipelined reduce, 15 cores, 128 wavelets", "chain", (15, 128), chain, ((317, 212, 242), (343, 212, 243))),
            ("naive reduce, 15 cores, 128 wavelets", "naive_reduce", (15, 128), naive,
             ((3920, 2772, 4214), (3090, 2772, 4242))),
        )
        for machine, (published, wires, whole) in zip(("wse2", "wse3"), points, strict=True)
    )  # fmt: skip


def _stencils() -> tuple[FabricRow, ...]:
    """A step of the 5-point stencil, in the same simulator: two products, four additions, eight moves of edges."""
    second = "fp32 additions run at one element per cycle there, at two here; a set-up takes 8 cycles there, here 30"
    third = (
        "elements agree; a set-up takes 10 cycles there at the smallest tile and hides at larger ones, here it takes 30"
    )
    return tuple(
        FabricRow("ST", f"5-point stencil, a step, tiles of {width} x {height}", "stencil", (3, 3, width, height),
                  machine, published, wires, whole, second if machine == "wse2" else third)
        for width, height, points in (
            (1, 1, ((125, 15, 477), (155, 15, 491))),
            (10, 10, ((783, 480, 943), (558, 480, 957))),
            (20, 20, ((2669, 1760, 2223), (1788, 1760, 2237))),
            (86, 14, ((7741, 5216, 5679), (5299, 5216, 5693))),
        )
        for machine, (published, wires, whole) in zip(("wse2", "wse3"), points, strict=True)
    )  # fmt: skip


FABRIC_ROWS: tuple[FabricRow, ...] = (
    *_multicasts(),
    FabricRow("V05", "8,192 wavelets to the next core, at 0.89 per cycle", "copy_line", (2, 8192), "wse3", 9204,
              9221, None, "0.89 is rounded: the link passes 8 of 9 cycles; 6 cycles of ramps and hops"),
    FabricRow("V07", "column of 256 to one core and back, 4 words a core", "gather", (256, 4), "wse3", 63_100, None,
              89_295, "the published kernel hides two or three words of a core behind those of others, ours none"),
    FabricRow("V07", "column of 256 to one core and back, 32 words a core", "gather", (256, 32), "wse3", 675_700, None,
              710_503, "the same words, of more: 5 %"),
    FabricRow("V07", "column of 256 to one core and back, 512 words a core", "gather", (256, 512), "wse3", 11_370_000,
              None, 11_359_783, "0.1 %: a word costs its task and its pass of a loop"),
    FabricRow("V07", "column of 256 to one core and back, 1,280 words a core", "gather", (256, 1280), "wse3",
              28_470_000, None, 28_399_816, "0.2 %, likewise"),
    *_formulas(),
    *_vendor(),
    *_stencils(),
)  # fmt: skip
