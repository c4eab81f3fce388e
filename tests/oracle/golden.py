"""Writes the golden logits of tests/golden/model from transformers; run by `make golden`.

A case is a JSON file with family, config, seed and prompts; this script fills in the names and shapes of its tensors as
transformers saves them, and writes the logits of every prompt next to it.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import tiny_models


def saved_tensors(case, folder):
    """Names and shapes that transformers writes for the case's configuration."""
    (folder / "config.json").write_text(json.dumps(case["config"]))
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    model.save_pretrained(folder / "saved")
    with safe_open(folder / "saved" / "model.safetensors", framework="np") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def logits_of(case, folder):
    """Each prompt's logits, (tokens, vocab) float32."""
    tiny_models.make_folder(case, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return [model(torch.tensor([prompt])).logits[0].numpy() for prompt in case["prompts"]]


def write(name):
    """Fills in the case's tensors and writes its logits; returns their bytes."""
    case = tiny_models.load_case(name)
    with tempfile.TemporaryDirectory() as scratch:
        case["tensors"] = saved_tensors(case, Path(scratch))
        logits = logits_of(case, Path(scratch) / "model")
    path = tiny_models.CASES / f"{name}.json"
    path.write_text(json.dumps(case, indent=1) + "\n")
    arrays = {f"prompt{index}": values.astype(np.float32) for index, values in enumerate(logits)}
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz").stat().st_size + path.stat().st_size


if __name__ == "__main__":
    torch.set_num_threads(1)
    sizes = {name: write(name) for name in tiny_models.case_names()}
    for name, size in sizes.items():
        print(f"{name:24} {size:7} bytes")
    print(f"{'total':24} {sum(sizes.values()):7} bytes")
