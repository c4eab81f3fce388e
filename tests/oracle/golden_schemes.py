"""Writes tests/golden/schemes: tiny quantized weights by the libraries that define their methods, and their values.

Run by hand, where torch, transformers and compressed-tensors are installed. AutoAWQ and AutoGPTQ install without a GPU
no more; of each, one file that needs torch alone is given:

    python tests/oracle/golden_schemes.py --awq packing_utils.py --gptq qlinear_cuda_old.py

A case is one safetensors file: the parts of the weight `m`, config.json in its metadata, and `expected`, in float32.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).parents[1] / "golden" / "schemes"
ROWS, COLUMNS = 16, 128
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # AWQ's, which of eight outputs a nibble is


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(name, quantization, parts, expected):
    config = {"model_type": "llama", "quantization_config": quantization}
    tensors = {key: value.contiguous() for key, value in parts.items() if value is not None}
    save_file(
        tensors | {"expected": expected.float().contiguous()},
        OUT / f"{name}.safetensors",
        metadata={"config": json.dumps(config)},
    )


def fp8_numbers(rows, columns):
    """Every number that is one, in random order."""
    codes = torch.arange(256, dtype=torch.uint8)
    codes = codes[(codes & 127) != 127].repeat(rows * columns // 254 + 1)[: rows * columns]
    return codes[torch.randperm(len(codes))].reshape(rows, columns).view(torch.float8_e4m3fn)


def fp8(rows, columns, block):
    """Blocks, by the dequantizer of transformers."""
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    weight = fp8_numbers(rows, columns)
    scales = torch.rand(rows // block[0], columns // block[1]) * 0.01 + 1e-4
    expected = Fp8Dequantize(None)._dequantize_one(weight, scales, output_dtype=torch.float32)
    method = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": list(block), "activation_scheme": "dynamic"}
    write("fp8-blocks", method, {"m.weight": weight, "m.weight_scale_inv": scales}, expected)


def compressed(name, bits, symmetric, group, dtype, kind="int", form="pack-quantized"):
    """Integers and 8-bit floats of rows or groups, by the library's compressor."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    strategy = "group" if group else "channel"
    args = QuantizationArgs(num_bits=bits, type=kind, symmetric=symmetric, strategy=strategy, group_size=group or None)
    scheme = QuantizationScheme(targets=["Linear"], weights=args, format=form)
    groups = COLUMNS // group if group else 1
    weight = torch.randn(ROWS, COLUMNS)
    scale = (torch.rand(ROWS, groups) * 0.2 + 0.3).to(dtype) / (1 if bits == 4 else 16)
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    zero = None if symmetric else torch.randint(low, high + 1, (ROWS, groups), dtype=torch.int8)
    state = {"weight": weight, "weight_scale": scale.float(), "weight_zero_point": zero}
    state = {key: value for key, value in state.items() if value is not None}
    compressor = BaseCompressor.get_value_from_registry(form)
    packed = compressor.compress(state, scheme)
    expected = compressor.decompress(dict(packed), scheme)["weight"]
    packed["weight_scale"] = scale
    groups_config = {"group_0": {"targets": ["Linear"], "weights": json.loads(args.model_dump_json())}}
    if kind == "float":
        groups_config["group_0"]["input_activations"] = {"num_bits": 8, "type": "float", "dynamic": True}
    method = {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": groups_config,
        "ignore": ["lm_head"],
    }
    write(name, method, {f"m.{key}": value for key, value in packed.items()}, expected)


def awq(library, group):
    """AutoAWQ's order of nibbles; its own unpacking says what they mean."""
    codes = torch.randint(0, 16, (COLUMNS, ROWS), dtype=torch.int32)
    zeros = torch.randint(0, 16, (COLUMNS // group, ROWS), dtype=torch.int32)

    def pack(values):
        nibbles = values.reshape(len(values), -1, 8)[..., list(ORDER)]
        return (nibbles << torch.arange(0, 32, 4, dtype=torch.int32)).sum(-1).to(torch.int32)

    scales = (torch.rand(COLUMNS // group, ROWS) * 0.02 + 0.001).half()
    qweight, qzeros = pack(codes), pack(zeros)
    expected = library.dequantize_gemm(qweight, qzeros, scales.float(), 4, group)
    assert torch.equal(
        expected, (codes - zeros.repeat_interleave(group, 0)) * scales.float().repeat_interleave(group, 0)
    )
    method = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True}
    write(f"awq-g{group}", method, {"m.qweight": qweight, "m.qzeros": qzeros, "m.scales": scales}, expected.T)


def gptq(library, bits, group):
    """AutoGPTQ packs, and multiplies the unit matrix: what comes out is the weight, as it is in float16 products."""
    layer = library.QuantLinear(bits, group, COLUMNS, 32, bias=False)
    groups, most = COLUMNS // group, (1 << bits) - 1
    scales = (torch.rand(32, groups) * 0.02 + 0.001).half()
    zeros = torch.randint(1, most, (32, groups)).float()
    codes = torch.randint(0, most + 1, (32, COLUMNS)).float()
    linear = torch.nn.Linear(COLUMNS, 32, bias=False)
    linear.weight.data = scales.float().repeat_interleave(group, 1) * (codes - zeros.repeat_interleave(group, 1))
    layer.pack(linear, scales.float(), zeros.clone(), None)
    layer.scales = layer.scales.float()  # so that its products are of float32, too
    half = torch.Tensor.half
    try:
        torch.Tensor.half = lambda self: self
        expected = layer.forward(torch.eye(COLUMNS)).T
    finally:
        torch.Tensor.half = half
    assert torch.equal(expected, linear.weight.data)
    method = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False, "sym": False}
    parts = {
        "m.qweight": layer.qweight,
        "m.qzeros": layer.qzeros,
        "m.scales": layer.scales.half(),
        "m.g_idx": layer.g_idx,
    }
    write(f"gptq-int{bits}-g{group}", method, parts, expected)


def mxfp4():
    """Two experts, by the converter of transformers, which turns them."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    blocks = torch.randint(0, 256, (2, 8, 4, 16), dtype=torch.uint8)
    scales = torch.randint(110, 130, (2, 8, 4), dtype=torch.uint8)
    expected = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).transpose(1, 2)
    method = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    write("mxfp4", method, {"m_blocks": blocks, "m_scales": scales}, expected)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--awq", type=Path, required=True)
    parser.add_argument("--gptq", type=Path, required=True)
    given = parser.parse_args()
    torch.manual_seed(7)
    OUT.mkdir(exist_ok=True)
    fp8(ROWS, COLUMNS, (8, 32))
    compressed("compressed-int4", 4, True, 32, torch.bfloat16)
    compressed("compressed-int4-zeros", 4, False, 32, torch.bfloat16)
    compressed("compressed-int8", 8, True, 128, torch.float16)
    compressed("compressed-int8-zeros", 8, False, 0, torch.float32)
    compressed("compressed-plain-int8", 8, True, 0, torch.bfloat16, form="int-quantized")
    compressed("compressed-fp8", 8, True, 0, torch.bfloat16, kind="float", form="float-quantized")
    awq(load(given.awq), 32)
    awq(load(given.awq), 128)
    gptq(load(given.gptq), 4, 32)
    gptq(load(given.gptq), 4, 128)
    gptq(load(given.gptq), 8, 64)
    mxfp4()


if __name__ == "__main__":
    main()
