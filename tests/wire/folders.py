"""A tiny Hugging Face folder that can be served: random weights in two shards, every byte a token."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from support import tiny_models

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>"
CALLING = (  # opens a thought and tells of tools
    "{% for t in tools or [] %}<tool_call>'name' {{ t.function.name }}{% endfor %}{% for m in messages %}<|im_start|>"
    "{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}"
    "{{ c.function.arguments | tojson }}{% endfor %}<|im_end|>{% endfor %}<|im_start|>a\n<think>\n{# </think> #}"
)
CONTEXT = 128


def make_folder(
    folder: Path,
    *,
    tokenizer: bool = True,
    poison: int | None = None,
    template: str = TEMPLATE,
    context: int | None = None,
) -> Path:
    """A Llama of 30 tensors; `tokenizer` tells whether tokenizer.json is there, `poison` a token that breaks it."""
    case = tiny_models.load_case("llama")
    case["config"] |= {} if context is None else {"max_position_embeddings": context}
    vocab = case["config"]["vocab_size"] = 256 + len(SPECIALS)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        case["tensors"][name] = [vocab, case["tensors"][name][1]]
    weights = tiny_models.weights_of(case)
    if poison is not None:
        tiny_models.poisoned(weights, poison)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(case["config"]))
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, held in shards.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    if tokenizer:
        _write_tokenizer(folder, template)
    return folder


def _write_tokenizer(folder: Path, template: str) -> None:
    from support.byte_alphabet import CHAR_OF
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    ids = {token: i for i, token in enumerate([*SPECIALS, *CHAR_OF])}
    engine = Tokenizer(models.BPE(ids, []))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    engine.decoder = decoders.ByteLevel()
    engine.add_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIALS])
    engine.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<|im_end|>", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def deepened(folder: Path, target: Path, layers: int) -> Path:
    """The same model with more layers that add nothing: it says the same and takes longer."""
    weights = {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}
    config = json.loads((folder / "config.json").read_text())
    last = f"model.layers.{config['num_hidden_layers'] - 1}."
    for layer in range(config["num_hidden_layers"], layers):
        for name in [name for name in weights if name.startswith(last)]:
            adds = name.endswith(("o_proj.weight", "down_proj.weight"))
            own = name.replace(last, f"model.layers.{layer}.")
            weights[own] = np.zeros_like(weights[name]) if adds else weights[name].copy()
    target.mkdir()
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    (target / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (target / file).write_bytes((folder / file).read_bytes())
    return target
