"""GPUs to compare with: memory, arithmetic, links, power, each with its source; and what software leaves of them.

Data only; what a step takes is in roofline.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Annotated

from undiced.core.errors import CompileError
from undiced.machine.constant import Constant, assumed, published

COUNT_MAX, SERVER = 16, 8  # GPUs that are compared, and of one server, which its own links join
_PAGE = "vendor's data sheet"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, its links, and what programs reach of both. Each field says what it is."""

    name: str
    memory_bytes: Annotated[Constant, "of one GPU"]
    bytes_per_s: Annotated[Constant, "memory bandwidth, nominal"]
    flops_16bit: Annotated[Constant, "dense, a second"]
    flops_8bit: Annotated[Constant, "dense, a second; 16-bit rate where there is no other"]
    sram_bytes: Annotated[Constant, "second-level cache, which all cores share"]
    link_bytes_per_s: Annotated[Constant, "to the other GPUs of its server, one way"]
    network_bytes_per_s: Annotated[Constant, "to another server, one way"]
    power_w: Annotated[Constant, "of one GPU, at most"]
    server_power_w: Annotated[Constant, "of a server of eight, at most"]
    server_price_usd: Annotated[Constant, "of a server of eight"]
    idle_share: Annotated[Constant, "of its power that a server takes without work"]
    memory_share: Annotated[Constant, "of the memory that weights and caches may fill"]
    bandwidth_share: Annotated[Constant, "of nominal memory bandwidth that decoding reaches"]
    flops_share: Annotated[Constant, "of dense arithmetic that prompts reach"]
    link_share: Annotated[Constant, "of a link's bandwidth that a sum over GPUs reaches"]
    sum_s: Annotated[Constant, "a small sum over the GPUs of a server, before its bytes"]
    far_sum_s: Annotated[Constant, "the same over two servers"]
    layer_s: Annotated[Constant, "a layer's kernels, what can't be hidden of starting and ending them"]

    def constants(self) -> Iterator[tuple[str, Constant]]:
        """Every figure with its name."""
        for field in fields(self):
            if field.name != "name":
                yield field.name, getattr(self, field.name)


def _gpu(
    name: str,
    memory_gb: float,
    gb_per_s: float,
    tflops: tuple[float, float],
    sram_mb: float,
    link_gb_per_s: float,
    watts: tuple[float, float],
    price: tuple[float, float],
) -> Gpu:
    low, high = price
    return Gpu(
        name=name,
        memory_bytes=published(memory_gb * 1e9, "byte", _PAGE),
        bytes_per_s=published(gb_per_s * 1e9, "byte/s", _PAGE),
        flops_16bit=published(tflops[0] * 1e12, "1/s", f"{_PAGE}, without sparsity"),
        flops_8bit=published(tflops[1] * 1e12, "1/s", f"{_PAGE}, without sparsity"),
        sram_bytes=published(sram_mb * 1e6, "byte", _PAGE),
        link_bytes_per_s=published(link_gb_per_s * 1e9, "byte/s", f"{_PAGE}: half of both ways"),
        network_bytes_per_s=published(50e9, "byte/s", "servers' data sheets: 400 Gb/s a GPU"),
        power_w=published(watts[0], "W", _PAGE),
        server_power_w=published(watts[1], "W", "servers' data sheets, at most"),
        server_price_usd=assumed((low * high) ** 0.5, "US$", "no list price; offers differ by so much", low, high),
        idle_share=assumed(0.25, "1", "a server whose GPUs hold weights and wait", 0.15, 0.4),
        memory_share=assumed(0.9, "1", "the rest is activations, graphs and fragments", 0.85, 0.95),
        bandwidth_share=assumed(
            0.7,
            "1",
            "Llama-3.2-1B on an H100: at most half by usual engines, 78 % by one kernel (Hazy Research, 2025-05); "
            "a plain copy reaches 92 %",
            0.5,
            0.9,
        ),
        flops_share=assumed(0.55, "1", "large products reach 60 to 80 %, a whole prompt less", 0.35, 0.75),
        link_share=assumed(0.7, "1", "366 of 450 GB/s were measured on 4 x H100 with large messages", 0.5, 0.8),
        sum_s=assumed(10e-6, "s", "kilobytes wait for latency alone, once or twice through a switch", 5e-6, 20e-6),
        far_sum_s=assumed(30e-6, "s", "two servers over a network", 15e-6, 60e-6),
        layer_s=assumed(5e-6, "s", "about seven kernels, 1.3 us each to start in a replayed graph", 0.5e-6, 12e-6),
    )  # fmt: skip


def _all() -> Iterator[Gpu]:
    yield _gpu("a100", 80, 2039, (312, 312), 40, 300, (400, 6500), (80e3, 200e3))
    yield _gpu("h100", 80, 3350, (989.5, 1979), 50, 450, (700, 10200), (200e3, 400e3))
    yield _gpu("h200", 141, 4800, (989.5, 1979), 50, 450, (700, 10200), (250e3, 450e3))
    b200 = _gpu("b200", 180, 8000, (2250, 4500), 126, 900, (1000, 14300), (400e3, 600e3))
    shared = assumed(126e6, "byte", "secondary sources differ", 65e6, 126e6)
    yield replace(b200, sram_bytes=shared)


GPUS: dict[str, Gpu] = {gpu.name: gpu for gpu in _all()}


def find_gpu(name: str) -> Gpu:
    """The GPU of a name.

    Raises:
        CompileError: there is none.
    """
    found = GPUS.get(name.lower())
    if found is None:
        raise CompileError(f"There is no GPU called {name[:40]!r}.", remedy=f"Known: {', '.join(GPUS)}.")
    return found
