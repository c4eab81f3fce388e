"""Tiny random checkpoints, the same on every machine: a case names a config.json, tensors and a seed.

Shared by the golden tests and the comparison with transformers; needs numpy and safetensors only. A case is
`golden/model/<name>.json`; the logits that transformers computed for it are `<name>.npz` beside it.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

CASES = Path(__file__).parents[1] / "golden" / "model"
# Whose sizes are no multiples of what the host engine takes; it runs a `-wide` twin of each architecture.
NOT_FOR_THE_HOST = ("deepseek-v3", "gpt-oss", "gpt-oss-clamped", "llama4", "mistral", "mixtral", "qwen3-moe")


def case_names():
    """Every case that has a file."""
    return sorted(path.stem for path in CASES.glob("*.json"))


def host_cases():
    """Those that the host engine runs."""
    return [name for name in case_names() if name not in NOT_FOR_THE_HOST]


def stretched(case, context):
    """The case for contexts that a prompt's attention has to cut up: whatever it sees of them is sixteen times as much,
    in the model and in every layer. None where positions are learned or scaled to lengths of their own.
    """
    config = dict(case["config"])
    if "n_positions" in config or (config.get("rope_scaling") or {}).get("type") == "longrope":
        return None
    inner = dict(config["text_config"]) if "text_config" in config else config
    inner["max_position_embeddings"] = context
    for field in ("sliding_window", "attention_chunk_size"):
        if inner.get(field):
            inner[field] *= 16
    if inner is not config:
        config["text_config"] = inner
    return case | {"config": config}


def load_case(name):
    """The case: config (config.json's content), seed, prompts (token ids), tensors (name to shape)."""
    return json.loads((CASES / f"{name}.json").read_text())


def weights_of(case):
    """Float32 tensors by name. RandomState's streams are frozen, so that the numbers never change."""
    rng = np.random.RandomState(case["seed"])
    return {name: _random(rng, name, shape) for name, shape in sorted(case["tensors"].items())}


def _random(rng, name, shape):
    values = rng.standard_normal(shape)
    if len(shape) > 1:
        return (values * 1.5 / np.sqrt(shape[-1])).astype(np.float32)
    is_norm_weight = name.endswith("weight") and any(part in name for part in ("norm", "ln_"))
    return (values * 0.1 + (1.0 if is_norm_weight else 0.0)).astype(np.float32)


def make_folder(case, folder, poison=None):
    """Writes a Hugging Face folder of the case; `poison` is a token whose embedding is infinite."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(case["config"]))
    weights = weights_of(case)
    if poison is not None:
        poisoned(weights, poison)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def poisoned(weights, token):
    """Makes one token's embedding infinite: whatever is computed after it is no number."""
    name = next(name for name in weights if any(part in name for part in ("embed_tokens", "embed_in", "wte")))
    weights[name] = weights[name].copy()
    weights[name][token] = np.inf
