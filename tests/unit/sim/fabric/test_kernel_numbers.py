"""What operations of kernels compute, held to numpy; results by cores; switches that a core turns itself."""

from __future__ import annotations

import numpy as np
import pytest

from undiced.fabric import CORE, EAST, WEST, Kernel, f16, f32, way
from undiced.program.wafer.value import DType
from undiced.sim.fabric.kernel.array import NUMPY


@pytest.mark.parametrize("dtype", [f32, f16])
def test_operations_compute_what_they_are_called(dtype: DType) -> None:
    kernel = Kernel(2, 2)
    a, b = (kernel.array(name, (3, 5), dtype) for name in "ab")
    outs = {name: kernel.array(name, (3, 5), dtype) for name in ("add", "subtract", "multiply", "maximum", "minimum")}
    scaled, moved = kernel.array("scaled", (3, 5), dtype), kernel.array("moved", (5, 3), f32)
    called = {
        name: kernel.array(name, (3, 5), dtype) for name in ("exp", "reciprocal", "inverse_root", "sigmoid", "tanh")
    }
    most = kernel.array("most", (3,), dtype)
    some = np.random.default_rng(1).uniform(0.5, 2, (2, 2, 2, 3, 5)).astype(NUMPY[dtype])
    kernel.scatter(a, some[0])
    kernel.scatter(b, some[1])
    with kernel.on(kernel[:, :]) as pe:
        for name, out in outs.items():
            getattr(pe, name)(out, a, b)
        pe.multiply_add(scaled, a, b, a[1, 2])
        with pe.loop(3) as row:
            pe.move(moved[:, row], a[row])
        with pe.loop(3) as row:
            pe.maximum(most[row], most[row], b[row])
        for name, out in called.items():
            pe.apply(name, out, a)  # type: ignore[arg-type]
    result = kernel.run()
    for name, out in outs.items():
        np.testing.assert_array_equal(result[out], getattr(np, name)(some[0], some[1]))
    product = (some[1] * some[0][:, :, 1:2, 2:3]).astype(NUMPY[dtype])
    np.testing.assert_allclose(result[scaled], some[0] + product, rtol=2e-3 if dtype == f16 else 1e-6)
    np.testing.assert_array_equal(result[moved], some[0].swapaxes(2, 3).astype(np.float32))
    np.testing.assert_array_equal(result[most], some[1].max(axis=3))
    wide = some[0].astype(np.float64)
    exact = {
        "exp": np.exp(wide),
        "reciprocal": 1 / wide,
        "inverse_root": wide**-0.5,
        "sigmoid": 1 / (1 + np.exp(-wide)),
        "tanh": np.tanh(wide),
    }
    for name, out in called.items():
        np.testing.assert_allclose(result[out], exact[name], rtol=2e-3 if dtype == f16 else 1e-5)


def test_results_lose_the_axes_that_numbers_choose() -> None:
    kernel = Kernel(3, 2)
    data = kernel.array("data", 4)
    kernel.scatter(data, np.arange(24).reshape(2, 3, 4))
    result = kernel.run()
    assert result.gather(data, kernel[:, :]).shape == (2, 3, 4)
    assert result.gather(data[1:], kernel[-1]).tolist() == [[9, 10, 11], [21, 22, 23]]
    assert result.gather(data[0], kernel[::2, 1]).tolist() == [12, 20]
    assert result.gather(data[3], kernel[1, 1]) == 19


def test_a_core_turns_its_own_switch() -> None:
    kernel = Kernel(3)
    data, red = kernel.array("data", 4), kernel.color("red")
    kernel.paint(red, kernel[1], way(CORE, to=WEST), way(CORE, to=EAST))
    kernel.paint(red, kernel[0], way(EAST, to=CORE))
    kernel.paint(red, kernel[2], way(WEST, to=CORE))
    with kernel.on(kernel[1]) as pe:
        pe.move(red, data[:2])
        pe.delay(30)
        pe.turn(red, 1)
        pe.move(red, data[2:])
    with kernel.on(kernel[::2]) as pe:
        pe.move(data[:2], red)
    kernel.scatter(data, [1, 2, 3, 4], kernel[1])
    assert kernel.run()[data][0, :, :2].tolist() == [[1, 2], [1, 2], [3, 4]]
