"""One processing element: memory, lanes, ports, and what its software costs. Knows no fabric and no program."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.constant import Constant


@dataclass(frozen=True, slots=True)
class Core:
    """A core and the free parameters of code that runs on it.

    Attributes:
        sram_bytes, sram_banks: local memory; there is no other. Successive 16-bit words lie in successive banks.
        read_bank_modulus: two reads of one cycle must lie in banks that differ modulo this.
        read_bytes_per_cycle, write_bytes_per_cycle: memory ports.
        lanes_16bit: elements each cycle of fp16 multiply-add, add, subtract, multiply and move, and of 16-bit logic.
        lanes_32bit: of fp16 products into fp32 sums; of fp32 add, subtract and move.
        fp32_multiply_per_cycle: elements each cycle of fp32 multiply and multiply-add.
        fp16_maximum_per_cycle, fp32_maximum_per_cycle: of an elementwise maximum.
        conversion_per_cycle: between fp16 and fp32, and 16-bit shifts; fixed_conversion_per_cycle: of fixed point.
        scalar_reduction_per_cycle: of a sum or a maximum into one scalar.
        stride_0_per_cycle, stride_1_per_cycle, stride_4_per_cycle: elements each cycle at strides that are 0 (not 0
            itself), 1 (not 1 itself) or 7, and 4 modulo the banks; all other strides run at full width.
        stride_max, extent_max: elements, the largest that a descriptor holds.
        microthreads: vector operations that wait for the fabric beside the running task.
        vector_setup_cycles: issuing one vector operation of a loop, before its first element.
        straight_setup_cycles: the same outside loops, where its descriptors are loaded one by one.
        loop_iteration_cycles: one iteration of a loop around vector operations' own: three descriptors loaded.
        transcendental_cycles: one scalar exponential, division or square root of the library.
        scalar_step_cycles: one scalar compare-and-branch step (selection of the largest logits).
        draw_cycles: drawing a token from the largest logits, and all that a head does beside what programs say.
        local_task_cycles: activating one scheduled local task.
        data_task_cycles: one wavelet handled by a data task; emit_cycles: one wavelet sent by a scalar loop.
        cache_bytes: software-managed store beside the datapath, for accumulators.
        area_um2, power_w: of one core, at most.
    """

    sram_bytes: Constant
    sram_banks: Constant
    read_bank_modulus: Constant
    read_bytes_per_cycle: Constant
    write_bytes_per_cycle: Constant
    lanes_16bit: Constant
    lanes_32bit: Constant
    fp32_multiply_per_cycle: Constant
    fp16_maximum_per_cycle: Constant
    fp32_maximum_per_cycle: Constant
    conversion_per_cycle: Constant
    fixed_conversion_per_cycle: Constant
    scalar_reduction_per_cycle: Constant
    stride_0_per_cycle: Constant
    stride_1_per_cycle: Constant
    stride_4_per_cycle: Constant
    stride_max: Constant
    extent_max: Constant
    microthreads: Constant
    vector_setup_cycles: Constant
    straight_setup_cycles: Constant
    loop_iteration_cycles: Constant
    transcendental_cycles: Constant
    scalar_step_cycles: Constant
    draw_cycles: Constant
    local_task_cycles: Constant
    data_task_cycles: Constant
    emit_cycles: Constant
    cache_bytes: Constant
    area_um2: Constant
    power_w: Constant
