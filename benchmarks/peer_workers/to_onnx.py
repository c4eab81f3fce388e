"""Makes a folder for onnxruntime-genai of a GGUF file: transformers dequantizes, the package's own builder quantizes.

    python to_onnx.py MODEL.gguf FOLDER

Runs in a venv of its own that has torch. Products get 4 bits in blocks of 32 with a zero point (k_quant), the output
layer 8, as the file has it; so weights are near the file's, not the same, and KL tells how near.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

OPTIONS = ("block_size=32", "is_symmetric=false", "algo_config=k_quant_last", "accuracy_level=4")


def dequantized(source: Path, folder: Path) -> None:
    """A Hugging Face folder in 32-bit numbers."""
    read = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    config = read.config
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config)  # the one that was read remembers that it was quantized
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)


def main() -> None:
    """Both steps."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        dequantized(source, Path(folder))
        builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", folder, "-o", str(target)]
        builder += ["-p", "int4", "-e", "cpu", "-c", str(Path(folder) / "cache"), "--extra_options", *OPTIONS]
        subprocess.run(builder, check=True)


if __name__ == "__main__":
    main()
