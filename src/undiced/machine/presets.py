"""The machines that come with the package: WSE-1, WSE-2, WSE-3 and toy meshes. Every figure with its source.

Short names of sources: [SDK] vendor SDK documentation · [HC34] Hot Chips 34 architecture deep dive · [NOWR] arXiv
2404.15888 · [WLLM] arXiv 2502.04563 · [AM] device logs of github.com/happyandslow/agent-memory · [SA26] an
analysts' report of 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from undiced.core.errors import CompileError
from undiced.machine import fitted
from undiced.machine.constant import Constant, assumed, derived, measured, published
from undiced.machine.core import Core
from undiced.machine.host import host as host
from undiced.machine.link import Link
from undiced.machine.mesh import Mesh
from undiced.machine.queues import Queues
from undiced.machine.spares import Spares
from undiced.machine.wafer import System, Wafer

_KIB = 1024
_PORTS = "[SDK] speaks of halves of that"
_TOY = re.compile(r"toy-(\d{1,4})x(\d{1,4})(?::(\d{1,6})([KM]))?")
_TOY_SRAM_BYTES = 1 << 20
_TOY_SIDE_MAX = 2048
_TOY_SRAM_MAX_BYTES = 1 << 30


def _core2() -> Core:
    return Core(
        sram_bytes=published(48 * _KIB, "byte", "vendor"),
        sram_banks=published(8, "1", "[SDK]"),
        read_bank_modulus=published(4, "1", "[SDK]"),
        read_bytes_per_cycle=published(16, "byte/cycle", f"[HC34]: two 64-bit reads per cycle; {_PORTS}"),
        write_bytes_per_cycle=published(8, "byte/cycle", f"[HC34]: one 64-bit write per cycle; {_PORTS}"),
        lanes_16bit=published(4, "1", "[SDK], [HC34]"),
        lanes_32bit=published(2, "1", "[SDK]"),
        fp32_multiply_per_cycle=published(1, "1", "[SDK]: not among the operations of a higher rate"),
        fp16_maximum_per_cycle=published(1, "1", "[SDK]"),
        fp32_maximum_per_cycle=published(1, "1", "[SDK]"),
        conversion_per_cycle=published(1, "1", "[SDK]"),
        fixed_conversion_per_cycle=published(1, "1", "[SDK]"),
        scalar_reduction_per_cycle=published(1, "1", "[SDK]"),
        stride_0_per_cycle=published(1, "1", "[SDK]"),
        stride_1_per_cycle=published(2, "1", "[SDK]"),
        stride_4_per_cycle=published(2, "1", "[SDK]: two operations per cycle, or four elements wide"),
        stride_max=published(127, "1", "[SDK]: eight bits with a sign"),
        extent_max=published(32767, "1", "[SDK]: sixteen bits with a sign"),
        microthreads=published(8, "1", "[SDK]"),
        vector_setup_cycles=fitted.WSE2_VECTOR_SETUP,
        straight_setup_cycles=fitted.WSE2_STRAIGHT_SETUP,
        loop_iteration_cycles=fitted.LOOP_ITERATION,
        transcendental_cycles=fitted.WSE2_TRANSCENDENTAL,
        scalar_step_cycles=fitted.SCALAR_STEP,
        draw_cycles=fitted.DRAW,
        local_task_cycles=fitted.LOCAL_TASK,
        data_task_cycles=fitted.DATA_TASK,
        emit_cycles=measured(44, "cycle", "[AM]: a wavelet of a synchronous emit loop"),
        cache_bytes=published(256, "byte", "[HC34]: a software-managed cache beside the datapath"),
        area_um2=published(38000, "um^2", "[HC34]"),
        power_w=published(0.030, "W", "[HC34]: peak"),
    )


def _link2() -> Link:
    return Link(
        wavelet_bytes=published(4, "byte", "[SDK]"),
        wavelets_per_cycle=measured(1.0, "wavelet/cycle", "[NOWR]"),
        hop_cycles=measured(1, "cycle", "[NOWR]"),
        ramp_cycles=measured(2, "cycle", "[NOWR]"),
        step_software_cycles=fitted.WSE2_STEP_SOFTWARE,
        collective_entry_cycles=fitted.WSE2_COLLECTIVE_ENTRY,
        star_member_cycles=fitted.STAR_MEMBER,
        multicast_start_cycles=measured(4, "cycle", "[NOWR]: two ramps"),
        multicast_skew_cycles=fitted.MULTICAST_SKEW,
        route_write_cycles=fitted.ROUTE_WRITE,
        timer_cycles=fitted.TIMER,
        column_overlap_words=fitted.COLUMN_OVERLAP,
    )


def _mesh(width: Constant, height: Constant, enabled: Constant, built: Constant) -> Mesh:
    return Mesh(
        width=width,
        height=height,
        cores_enabled=enabled,
        cores_built=built,
        dies=published(84, "1", "vendor: 12 x 7 reticle dies"),
        die_area_mm2=published(46225, "mm^2", "vendor: 215 x 215 mm, the wafer's"),
        colors=published(24, "1", "[SDK]"),
        reserved_colors=measured(3, "1", "[WLLM]: the host's copy routines take colors 21 to 23"),
        switch_positions=published(4, "1", "[SDK]"),
    )


def _queues(inputs: tuple[int, ...], outputs: tuple[int, ...], output_colors: int) -> Queues:
    depths = {
        f"{way}_{at}_words": published(words, "wavelet", "[SDK]")
        for way, queues in (("input", inputs), ("output", outputs))
        for at, words in enumerate(queues)
    }
    return Queues(
        **depths,
        router_words=assumed(2, "wavelet", "not published: the fewest that pass a wavelet a cycle", 2, 8),
        reserved=published(2, "1", "[SDK]: the host's copy routines take queues 0 and 1"),
        output_colors=published(output_colors, "1", "[SDK]"),
        rebind_tasks=derived(2, "1", "[SDK]: the task of an empty queue, and the one that goes on"),
        rebind_writes=derived(1, "1", "[SDK]: the register that holds the queue's color"),
    )


def _spares(columns: Constant) -> Spares:
    why = "not published: such wires are at most twice as long, and wires of a millimeter keep the clock [SA26]"
    return Spares(
        columns=columns,
        skip_cycles=assumed(1, "cycle", why, 0, 1),
        diagonal_cycles=assumed(1, "cycle", why, 0, 1),
    )


def _system(clock_hz: Constant, power_w: Constant) -> System:
    return System(
        clock_hz=clock_hz,
        power_w=power_w,
        io_bytes_per_s=Constant(
            150e9, "byte/s", "published", "vendor: 12 x 100 GbE; nothing between wafers was measured", 1e9, 150e9
        ),
        host_to_device_bytes_per_s=measured(11.43e9, "byte/s", "[AM]: WSE-3, one worker"),
        device_to_host_bytes_per_s=measured(12.54e9, "byte/s", "[AM]: WSE-3, one worker"),
        launch_s=measured(2.4e-3, "s", "[AM]: WSE-3"),
        wafer_to_wafer_s=assumed(5e-6, "s", "secondary sources: about 5 us; 2 us for a later model", 2e-6, 10e-6),
    )


def wse2() -> Wafer:
    """Second generation, 2021."""
    return Wafer(
        name="wse2",
        core=_core2(),
        mesh=_mesh(
            published(750, "1", "[SDK]: usable columns"),
            published(994, "1", "[SDK]: usable rows"),
            published(850_000, "1", "vendor"),
            derived(850_000 * 970 / 900, "1", "the ratio built / enabled of WSE-3"),
        ),
        link=_link2(),
        queues=_queues((6, 6, 4, 4, 2, 2, 2, 2), (2, 2, 6, 6, 2, 2, 0, 0), 24),
        spares=_spares(derived(66, "1", "built less enabled cores, over 994 rows")),
        system=_system(
            published(1.1e9, "Hz", "[WLLM]; 0.85 GHz in [SDK] and [NOWR]"),
            published(15_000, "W", "vendor: 15 to 20 kW"),
        ),
    )


def wse3() -> Wafer:
    """Third generation, 2024."""
    core, link = _core2(), _link2()
    return Wafer(
        name="wse3",
        core=replace(
            core,
            lanes_16bit=published(8, "1", "[SDK], vendor"),
            lanes_32bit=published(4, "1", "[SDK]"),
            fp16_maximum_per_cycle=published(8, "1", "[SDK]"),
            fp32_maximum_per_cycle=published(4, "1", "[SDK]"),
            conversion_per_cycle=published(4, "1", "[SDK]"),
            fixed_conversion_per_cycle=published(8, "1", "[SDK]"),
            cache_bytes=published(512, "byte", "vendor; [AM]: 640 bytes are refused by the linker"),
            vector_setup_cycles=fitted.WSE3_VECTOR_SETUP,
            straight_setup_cycles=fitted.WSE3_STRAIGHT_SETUP,
            transcendental_cycles=fitted.WSE3_TRANSCENDENTAL,
        ),
        mesh=_mesh(
            derived(755, "1", "fabric of 762 columns, [SDK], less the same margin as WSE-2"),
            derived(1170, "1", "fabric of 1172 rows, [SDK], less the same margin as WSE-2"),
            published(900_000, "1", "vendor"),
            published(970_000, "1", "vendor"),
        ),
        link=replace(
            link,
            wavelets_per_cycle=fitted.WSE3_LINK_RATE,
            step_software_cycles=fitted.WSE3_STEP_SOFTWARE,
            collective_entry_cycles=fitted.WSE3_COLLECTIVE_ENTRY,
            multicast_start_cycles=fitted.WSE3_MULTICAST_START,
        ),
        queues=_queues((8, 8, 4, 4, 4, 4, 4, 4), (8,) * 8, 1),
        spares=_spares(derived(59, "1", "970,000 built less 900,000 enabled cores, over 1170 rows")),
        system=_system(
            published(1.1e9, "Hz", "published clocks are 0.75, 0.85, 0.875 and 1.1 GHz"),
            published(23_000, "W", "vendor"),
        ),
    )


def wse1() -> Wafer:
    """First generation, 2019: core and fabric figures that were not published are taken over from WSE-2."""
    base = wse2()
    side = "square root of the enabled cores: the grid was not published"
    return replace(
        base,
        name="wse1",
        core=replace(base.core, sram_bytes=derived(18e9 / 400_000, "byte", "vendor: 18 GB over 400,000 cores")),
        mesh=_mesh(
            assumed(632, "1", side, 600, 660),
            assumed(632, "1", side, 600, 660),
            published(400_000, "1", "vendor"),
            derived(400_000 * 1.0125, "1", "Hot Chips 31: 1 to 1.5 % spares"),
        ),
        spares=_spares(derived(7, "1", "1.25 % of 400,000 cores, over 632 rows")),
        system=_system(
            assumed(0.85e9, "Hz", "as the slower clock of WSE-2", 0.75e9, 1.1e9), published(15_000, "W", "vendor")
        ),
    )


def toy(columns: int, rows: int, sram_bytes: int = _TOY_SRAM_BYTES) -> Wafer:
    """A small mesh of WSE-3 cores, columns (x) by rows (y), with its share of spares, for tests and the interpreter.

    With more memory than a core of WSE-3 a few rows hold whole contexts: strides then reach as far as vectors do.
    """
    base = wse3()
    why = "a toy"

    def count(value: float, unit: str = "1") -> Constant:
        return assumed(value, unit, why, value, value)

    larger = sram_bytes > base.core.sram_bytes.value
    reach = count(base.core.extent_max.value) if larger else base.core.stride_max
    spares = -(-columns * int(base.spares.columns.value) // int(base.mesh.width.value))
    built = (columns + spares) * rows
    suffix = "" if sram_bytes == _TOY_SRAM_BYTES else f":{sram_bytes // _KIB}K"
    mesh, share = _mesh(*map(count, (columns, rows, columns * rows, built))), columns * rows
    area, power = base.mesh.die_area_mm2.value / base.mesh.cores_built.value, base.system.power_w.value
    return replace(
        base,
        name=f"toy-{columns}x{rows}{suffix}",
        core=replace(base.core, sram_bytes=count(sram_bytes, "byte"), stride_max=reach),
        mesh=replace(mesh, die_area_mm2=count(area * built, "mm^2")),
        spares=_spares(count(spares)),
        system=replace(base.system, power_w=count(power * share / base.mesh.cores_enabled.value, "W")),
    )


PRESETS: dict[str, Callable[[], Wafer]] = {"wse1": wse1, "wse2": wse2, "wse3": wse3}


def parse_toy(name: str) -> Wafer | None:
    """`toy-8x4` or `toy-8x4:48K` (8 along x, 4 along y, SRAM a core); None if `name` is no toy.

    Raises:
        CompileError: a toy of absurd size.
    """
    match = _TOY.fullmatch(name)
    if match is None:
        return None
    columns, rows = int(match[1]), int(match[2])
    scale = {"K": _KIB, "M": _KIB * _KIB}.get(match[4] or "", 1)
    sram = int(match[3]) * scale if match[3] else _TOY_SRAM_BYTES
    if not (1 <= rows <= _TOY_SIDE_MAX and 1 <= columns <= _TOY_SIDE_MAX and _KIB <= sram <= _TOY_SRAM_MAX_BYTES):
        raise CompileError(
            f"The toy machine {name} is out of range.",
            remedy=f"Use 1 to {_TOY_SIDE_MAX} rows and columns and 1K to 1024M of SRAM a core.",
        )
    return toy(columns, rows, sram)
