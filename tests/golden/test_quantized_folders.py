"""Quantized folders as whole models: every slot has the values of the dense folder that says the same, whose family the
golden logits hold; and the thread team computes what the program's interpreter does from the packed weights."""

import json
import struct

import numpy as np
import pytest
from support import tiny_models
from support.engines import run

from undiced.checkpoint import open_checkpoint
from undiced.checkpoint.decode import to_float
from undiced.compiler import compile
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.model.weights import load_weights
from undiced.program import Bounds

GROUP = 32
DTYPES = {"uint32": "I32", "int32": "I32", "float16": "F16", "float32": "F32", "uint8": "U8"}
PRODUCTS = ("_proj.weight", "_proj_with_mqa.weight", "w1.weight", "w2.weight", "w3.weight")
TOLERANCE = 1e-3  # of the logits' size, where products are of floats
ROUNDED = (
    0.06  # where activations are rounded to 8 bits, which the interpreter does not do, and may choose other experts
)


def entry(array):
    return DTYPES[array.dtype.name], array


def awq(rng, rows, columns):
    return {
        "qweight": entry(rng.integers(0, 1 << 32, (columns, rows // 8), np.uint32)),
        "qzeros": entry(rng.integers(0, 1 << 32, (columns // GROUP, rows // 8), np.uint32)),
        "scales": entry(rng.uniform(0.01, 0.04, (columns // GROUP, rows)).astype(np.float16)),
    }


def gptq(rng, rows, columns, order=None):
    groups = np.arange(columns) // GROUP if order is None else order(np.arange(columns) // GROUP)
    return {
        "qweight": entry(rng.integers(0, 1 << 32, (columns // 8, rows), np.uint32)),
        "qzeros": entry(rng.integers(0, 1 << 28, (columns // GROUP, rows // 8), np.uint32)),
        "scales": entry(rng.uniform(0.01, 0.04, (columns // GROUP, rows)).astype(np.float16)),
        "g_idx": entry(groups.astype(np.int32)),
    }


def fp8(rng, rows, columns):
    codes = rng.integers(0, 0x48, (rows, columns), np.uint8) | rng.integers(0, 2, (rows, columns), np.uint8) << 7
    return {
        "weight": ("F8_E4M3", codes),
        "weight_scale_inv": entry(rng.uniform(0.02, 0.2, (-(-rows // GROUP), columns // GROUP)).astype(np.float32)),
    }


METHODS = {
    "awq": ("llama", awq, {"quant_method": "awq", "bits": 4, "group_size": GROUP}),
    "gptq": ("llama", gptq, {"quant_method": "gptq", "bits": 4, "group_size": GROUP}),
    "gptq-unordered": (
        "llama",
        lambda rng, rows, columns: gptq(rng, rows, columns, rng.permutation),
        {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": True},
    ),
    "fp8": ("llama", fp8, {"quant_method": "fp8", "weight_block_size": [GROUP, GROUP]}),
    "fp8-experts": ("qwen3-moe-wide", fp8, {"quant_method": "fp8", "weight_block_size": [GROUP, GROUP]}),
    "fp8-latent": ("deepseek-v3-wide", fp8, {"quant_method": "fp8", "weight_block_size": [GROUP, GROUP]}),
    "awq-experts": ("mixtral-wide", awq, {"quant_method": "awq", "bits": 4, "group_size": GROUP}),
    "mxfp4": ("gpt-oss-wide", None, {"quant_method": "mxfp4"}),
}


def quantized(case, rng, parts_of):
    """The case's tensors with those of its products in parts."""
    tensors = {}
    for name, array in tiny_models.weights_of(case).items():
        if parts_of is None and name.endswith(("gate_up_proj", "down_proj")):
            experts, columns, rows = array.shape
            tensors[f"{name}_blocks"] = entry(rng.integers(0, 256, (experts, rows, columns // 32, 16), np.uint8))
            tensors[f"{name}_scales"] = entry(rng.integers(121, 125, (experts, rows, columns // 32), np.uint8))
        elif parts_of and array.ndim == 2 and name.endswith(PRODUCTS) and array.shape[1] % GROUP == 0:
            parts = parts_of(rng, *array.shape)
            tensors |= {name.removesuffix("weight") + part: entry for part, entry in parts.items()}
        else:
            tensors[name] = entry(array)
    return tensors


def dense(checkpoint):
    """The same numbers in F32, under the names and in the shapes of dense folders."""
    tensors = {}
    for name, info in checkpoint.tensors.items():
        values = to_float(info, checkpoint.raw(name))
        if name.endswith("_blocks"):
            name, values = name.removesuffix("_blocks"), values.transpose(0, 2, 1)
        tensors[name] = entry(np.ascontiguousarray(values))
    return tensors


def folder(path, config, tensors):
    path.mkdir()
    header, at = {}, 0
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    raw = json.dumps(header).encode()
    body = b"".join(array.tobytes() for _, array in tensors.values())
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + body)
    (path / "config.json").write_text(json.dumps(config))
    return open_checkpoint(path)


@pytest.fixture(params=METHODS)
def folders(request, tmp_path):
    name, parts_of, method = METHODS[request.param]
    case = tiny_models.load_case(name)
    tensors = quantized(case, np.random.default_rng(5), parts_of)
    narrow = folder(tmp_path / "narrow", case["config"] | {"quantization_config": method}, tensors)
    wide = folder(tmp_path / "wide", case["config"], dense(narrow))
    yield request.param, case["prompts"], narrow, wide
    narrow.close()
    wide.close()


def test_slots_have_the_values_of_the_dense_folder(folders):
    name, _, narrow, wide = folders
    graph, other = build(narrow), build(wide)
    found, expected = load_weights(graph, narrow), load_weights(other, wide)
    assert found.keys() == expected.keys()
    for slot, values in found.items():
        np.testing.assert_array_equal(values, expected[slot], err_msg=slot)
    formats = {slot.format for slot in graph.slots} - {"F32"}
    kept = {"awq": "INT4_32", "gptq": "INT4_32", "fp8": "FP8_32", "mxfp4": "MXFP4"}
    assert formats == {kept[name.partition("-")[0]]}
    downs = [slot for slot in graph.slots if slot.name.endswith("ffn.down") and slot.columns > GROUP]
    if name == "gptq-unordered":  # a group that is a whole row has no other order
        assert downs and {slot.format for slot in downs} == {"F32"}


@pytest.mark.parametrize("chunk", [1, 64])
def test_the_team_computes_what_the_interpreter_does(folders, chunk):
    name, prompts, narrow, _ = folders
    graph = build(narrow)
    program = compile(graph, host(2), Bounds(len(prompts), min(64, graph.config.context)))
    order = np.random.default_rng(0).permutation(8)
    twin = run(InterpreterBackend(program, narrow, pages=8, kv_rounded=True), program, prompts, chunk, order)
    backend = HostBackend(program, narrow, threads=2, pages=8)
    try:
        found = run(backend, program, prompts, chunk, order)
    finally:
        backend.close()
    rows = [(row, same[at]) for logits, same in zip(found, twin, strict=True) for at, row in logits.items()]
    apart = [float(np.linalg.norm(row - same) / np.linalg.norm(same)) for row, same in rows]
    if name.startswith("fp8"):
        assert max(apart) < TOLERANCE
    assert np.median(apart) < ROUNDED, apart
