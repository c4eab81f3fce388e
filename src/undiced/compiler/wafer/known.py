"""Models that published wafer measurements name and the catalog does not have. Sizes alone: public facts."""

from __future__ import annotations

from undiced.compiler.wafer.dims import Dims

BENCHMARKED: dict[str, Dims] = {
    dims.name: dims
    for dims in (
        Dims("llama-3-8b", 32, 4096, 32, 8, 128, 14336, 128_256),
        Dims("llama-3.2-1b", 16, 2048, 32, 8, 64, 8192, 128_256),
        Dims("qwen2-72b", 80, 8192, 64, 8, 128, 29568, 152_064),
    )
}
