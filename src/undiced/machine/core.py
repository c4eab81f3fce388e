"""One processing element: memory, lanes, ports, and what its software costs. Knows no fabric and no program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from undiced.machine.constant import Constant


@dataclass(frozen=True, slots=True)
class Core:
    """A core and the free parameters of code that runs on it. Each field says what it is."""

    sram_bytes: Annotated[Constant, "local memory; there is no other"]
    sram_banks: Annotated[Constant, "banks of it; successive 16-bit words lie in successive ones"]
    read_bank_modulus: Annotated[Constant, "two reads of one cycle must lie in banks that differ modulo this"]
    read_bytes_per_cycle: Annotated[Constant, "memory ports, reading"]
    write_bytes_per_cycle: Annotated[Constant, "memory ports, writing"]
    lanes_16bit: Annotated[
        Constant, "elements a cycle of fp16 multiply-add, add, subtract, multiply and move, and of 16-bit logic"
    ]
    lanes_32bit: Annotated[
        Constant, "elements a cycle of fp16 products into fp32 sums, and of fp32 add, subtract and move"
    ]
    fp32_multiply_per_cycle: Annotated[Constant, "elements a cycle of fp32 multiply and multiply-add"]
    fp16_maximum_per_cycle: Annotated[Constant, "elements a cycle of an elementwise fp16 maximum"]
    fp32_maximum_per_cycle: Annotated[Constant, "elements a cycle of an elementwise fp32 maximum"]
    conversion_per_cycle: Annotated[Constant, "elements a cycle between fp16 and fp32, and of 16-bit shifts"]
    fixed_conversion_per_cycle: Annotated[Constant, "elements a cycle to and from fixed point"]
    scalar_reduction_per_cycle: Annotated[Constant, "elements a cycle of a sum or a maximum into one scalar"]
    stride_0_per_cycle: Annotated[Constant, "elements a cycle at strides that are 0 modulo the banks (not 0 itself)"]
    stride_1_per_cycle: Annotated[
        Constant, "elements a cycle at strides that are 1 (not 1 itself) or 7 modulo the banks"
    ]
    stride_4_per_cycle: Annotated[
        Constant, "elements a cycle at strides that are 4 modulo the banks; all others run at full width"
    ]
    stride_max: Annotated[Constant, "elements, the largest stride that a descriptor holds"]
    extent_max: Annotated[Constant, "elements, the largest extent that a descriptor holds"]
    microthreads: Annotated[Constant, "vector operations that wait for the fabric beside the running task"]
    vector_setup_cycles: Annotated[Constant, "issuing one vector operation of a loop, before its first element"]
    straight_setup_cycles: Annotated[Constant, "the same outside loops, where its descriptors are loaded one by one"]
    loop_iteration_cycles: Annotated[
        Constant, "one iteration of a loop around vector operations: three descriptors loaded"
    ]
    transcendental_cycles: Annotated[Constant, "one scalar exponential, division or square root of the library"]
    scalar_step_cycles: Annotated[Constant, "one scalar compare-and-branch step (selection of the largest logits)"]
    draw_cycles: Annotated[
        Constant, "drawing a token from the largest logits, and all that a head does beside what programs say"
    ]
    local_task_cycles: Annotated[Constant, "activating one scheduled local task"]
    data_task_cycles: Annotated[Constant, "one wavelet handled by a data task"]
    emit_cycles: Annotated[Constant, "one wavelet sent by a scalar loop"]
    cache_bytes: Annotated[Constant, "software-managed store beside the datapath, for accumulators"]
    area_um2: Annotated[Constant, "of one core"]
    power_w: Annotated[Constant, "of one core, at most"]
