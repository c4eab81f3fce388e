"""One processing element: memory, lanes, ports, and what its software costs. Knows no fabric and no program."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.constant import Constant


@dataclass(frozen=True, slots=True)
class Core:
    """A core and the free parameters of code that runs on it.

    Attributes:
        sram_bytes, sram_banks: local memory; there is no other.
        read_bytes_per_cycle, write_bytes_per_cycle: memory ports.
        lanes_16bit, lanes_32bit: elements an arithmetic unit takes each cycle.
        code_bytes, lean_code_bytes: memory that a decode program's code takes, as measured and as a lean assumption.
        vector_setup_cycles: issuing one vector operation (descriptor, loop iteration), before its first element.
        transcendental_cycles: one scalar exponential, division or square root of the library.
        scalar_step_cycles: one scalar compare-and-branch step (selection of the largest logits).
        local_task_cycles: activating one scheduled local task.
        data_task_cycles: one wavelet handled by a data task; emit_cycles: one wavelet sent by a scalar loop.
        fp32_fmac_cycles: a multiply-add whose operands are all 32 bits wide.
        cache_bytes: software-managed store beside the datapath, for accumulators.
        area_um2, power_w: of one core, at most.
    """

    sram_bytes: Constant
    sram_banks: Constant
    read_bytes_per_cycle: Constant
    write_bytes_per_cycle: Constant
    lanes_16bit: Constant
    lanes_32bit: Constant
    code_bytes: Constant
    lean_code_bytes: Constant
    vector_setup_cycles: Constant
    transcendental_cycles: Constant
    scalar_step_cycles: Constant
    local_task_cycles: Constant
    data_task_cycles: Constant
    emit_cycles: Constant
    fp32_fmac_cycles: Constant
    cache_bytes: Constant
    area_um2: Constant
    power_w: Constant
