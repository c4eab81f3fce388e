"""Hostile model files: small whole ones, and random damage to any of them that a seed alone decides.

`survives` reads a file or folder as the product does, from opening to the chat template's source, in a process with
little room and little time, and tells what came of it.
"""

import json
import random
import re
import struct
from pathlib import Path

SECONDS = 5
BYTES = 1 << 30
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "vocab_size": 40,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
    "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32},
    "eos_token_id": [1, 2], "layer_types": ["full_attention"],
}  # fmt: skip
FAMILIES = {
    "llama": {},
    "mistral": {"sliding_window": 8},
    "qwen2": {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 0},
    "qwen3": {"head_dim": 8},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "mlp_only_layers": [0]},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "gemma3_text": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8, "head_dim": 8},
    "llama4_text": {"num_local_experts": 4, "no_rope_layers": [1], "moe_layers": [0], "attention_chunk_size": 8},
    "deepseek_v3": {"kv_lora_rank": 8, "q_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4,
                    "n_routed_experts": 8, "moe_intermediate_size": 16, "n_group": 2, "topk_group": 1},
    "deepseek_v2": {"kv_lora_rank": 8, "q_lora_rank": None, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4,
                    "v_head_dim": 4, "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8, "attn_logit_softcapping": 50.0},
    "phi3": {"partial_rotary_factor": 0.5, "original_max_position_embeddings": 32, "sliding_window": 8,
             "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.0], "long_factor": [2.0, 4.0]}},
    "olmo2": {"attention_bias": False},
    "olmo3": {"sliding_window": 8},
    "granite": {"embedding_multiplier": 12.0, "attention_multiplier": 0.1, "residual_multiplier": 0.2,
                "logits_scaling": 8.0},
    "gpt_neox": {"rotary_pct": 0.5, "rotary_emb_base": 10000, "use_parallel_residual": True, "layer_norm_eps": 1e-5},
    "gpt2": {"n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 64},
}  # fmt: skip
TENSORS = {
    "model.embed_tokens.weight": (40, 32), "model.norm.weight": (32,), "lm_head.weight": (40, 32),
    "model.layers.0.input_layernorm.weight": (32,), "model.layers.0.post_attention_layernorm.weight": (32,),
    "model.layers.0.self_attn.q_proj.weight": (32, 32), "model.layers.0.self_attn.k_proj.weight": (16, 32),
    "model.layers.0.self_attn.v_proj.weight": (16, 32), "model.layers.0.self_attn.o_proj.weight": (32, 32),
    "model.layers.0.mlp.gate_proj.weight": (64, 32), "model.layers.0.mlp.up_proj.weight": (64, 32),
    "model.layers.0.mlp.down_proj.weight": (32, 64),
}  # fmt: skip
GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "q_proj": "attn_q", "k_proj": "attn_k",
    "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
}  # fmt: skip
WORDS = ["<unk>", "<s>", "</s>", "<|im_end|>", *"abcdefghijklmnop<>|/ _", "ab", "abc", "\u2581", "\u0120"]


def safetensors(tensors):
    """A file of float32 zeros."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors.items():
        size = 4
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(at)


def tokenizer():
    """tokenizer.json of a byte-level BPE with three special tokens."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": WORDS[i], **flags} for i in range(4)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "_"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\p{L}+|\\p{N}"}, "behavior": "Isolated", "invert": False}, level]},
        "post_processor": {"type": "TemplateProcessing", "single": single,
                           "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {word: i for i, word in enumerate(WORDS)}, "merges": [["a", "b"], ["ab", "c"]]},
    }  # fmt: skip


def folder():
    """Every file of a whole folder, by name; documents are objects."""
    first = dict(list(TENSORS.items())[:6])
    second = dict(list(TENSORS.items())[6:])
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    return {
        "config.json": CONFIG,
        "generation_config.json": {"eos_token_id": [2, 3], "temperature": 0.6},
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": True,
                                  "added_tokens_decoder": {"0": {"content": "<unk>"}},
                                  "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"},
        "special_tokens_map.json": {"unk_token": "<unk>", "pad_token": {"content": "</s>", "lstrip": False}},
        "model.safetensors.index.json": {
            "metadata": {"total_size": 1},
            "weight_map": dict.fromkeys(first, shards[0]) | dict.fromkeys(second, shards[1])},
        shards[0]: safetensors(first),
        shards[1]: safetensors(second),
    }  # fmt: skip


def gguf_fields(chance):
    """Metadata of a tiny llama with a vocabulary of either kind: (key, type, value)."""
    architecture = chance.choice(["llama", "llama", "qwen2", "qwen3", "gemma3", "gpt2", "qwen3moe", "gpt-oss"])
    numbers = {"block_count": 1, "context_length": 64, "embedding_length": 32, "feed_forward_length": 64,
               "attention.head_count": 4, "attention.head_count_kv": 2, "rope.dimension_count": 8,
               "expert_count": 0, "attention.sliding_window": 0,
               "rope.scaling.original_context_length": 32}  # fmt: skip
    fields = [("general.architecture", 8, architecture), ("general.name", 8, "tiny"),
              (f"{architecture}.attention.layer_norm_rms_epsilon", 6, 1e-5),
              (f"{architecture}.rope.freq_base", 6, 1e4),
              (f"{architecture}.rope.scaling.type", 8, "yarn"),
              (f"{architecture}.rope.scaling.factor", 6, 2.0)]  # fmt: skip
    fields += [(f"{architecture}.{key}", 4, value) for key, value in numbers.items()]
    model = chance.choice(["gpt2", "llama"])
    kinds = [2, 3, 3, 3] + [1] * (len(WORDS) - 4)
    fields += [("tokenizer.ggml.model", 8, model), ("tokenizer.ggml.pre", 8, "smollm"),
               ("tokenizer.ggml.tokens", 9, (8, WORDS)), ("tokenizer.ggml.token_type", 9, (5, kinds)),
               ("tokenizer.ggml.scores", 9, (6, [-float(i) for i in range(len(WORDS))])),
               ("tokenizer.ggml.merges", 9, (8, ["a b", "ab c"])), ("tokenizer.ggml.bos_token_id", 4, 1),
               ("tokenizer.ggml.eos_token_id", 4, 2), ("tokenizer.ggml.add_bos_token", 7, True),
               ("tokenizer.chat_template", 8, "{{ messages[0].content }}")]  # fmt: skip
    return fields


EXTREMES = [0, 1, -1, 7, 255, 2**16, 2**27, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**64 - 1, 10**400]
SCALARS = [None, True, False, "", "x", "\x1b[31m", "\ud800", "<s>", "yarn", "linear", "a" * 5000, 1e-300, 1e308, -0.5,
           float("nan"), float("inf"), *EXTREMES]  # fmt: skip


def value(chance):
    """A hostile JSON value."""
    draw = chance.random()
    if draw < 0.7:
        return chance.choice(SCALARS)
    if draw < 0.76:
        return f"@{chance.choice([3, 60, 70, 400, 990, 30000])}@"
    if draw < 0.88:
        return [chance.choice(SCALARS) for _ in range(chance.choice([0, 1, 2, 40, 3000]))]
    return {str(chance.choice(["content", "type", "id", "factor", ""])): chance.choice(SCALARS)}


def nested(match):
    """What stands for lists or objects within one another, so many levels deep, becomes them."""
    depth = int(match[1])
    opening, closing = (b"[", b"]") if depth % 20 else (b'{"a":', b"}")
    return opening * depth + b"1" + closing * depth


def spots(node, found=None):
    """(container, key) of every value in a document."""
    found = [] if found is None else found
    for key in node if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], (dict, list)):
            spots(node[key], found)
    return found


def changed(chance, document):
    """A copy of a document with a few values replaced, removed, renamed or repeated; -> its text."""
    document = json.loads(json.dumps(document))
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        places = spots(document)
        if not places:
            break
        node, key = chance.choice(places)
        what = chance.random()
        if what < 0.65:
            node[key] = value(chance)
        elif what < 0.8:
            del node[key]
        elif isinstance(node, list):
            node *= chance.choice([2, 50]) if len(node) < 100 else 1
        else:
            node[chance.choice(["", "\ud800", "type", str(key) + "x", "x" * 300])] = node.pop(key)
    text = json.dumps(document, ensure_ascii=chance.random() < 0.9).encode("utf-8", "surrogatepass")
    return re.sub(rb'"@(\d+)@"', nested, text)


SNIPPETS = [b"", b"{", b"]", b'"', b"0", b"null", b"-1", b",", b"\\ud800", b"\xff", b"\x00", b'"a":1,"a":2,',
            b"1" * 5000, b"[" * 2000, b'{"a":' * 2000, b"\xef\xbb\xbf", b"NaN", b"1e999"]  # fmt: skip


def damaged(chance, data, head):
    """Bytes after a few overwritten numbers, insertions, removals or a cut, mostly in the first `head` of them."""
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        at = chance.randrange(max(1, min(head, len(data)) if chance.random() < 0.8 else len(data)))
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at : at + 4] = struct.pack("<I", chance.choice(EXTREMES) & 0xFFFFFFFF)
            case 2:
                data[at : at + 8] = struct.pack("<Q", chance.choice(EXTREMES) & (2**64 - 1))
            case 3:
                data[at:at] = chance.choice(SNIPPETS)
            case 4:
                del data[at : at + chance.randrange(1, 64)]
            case 5:
                del data[at:]
    return bytes(data)


def make_folder(chance, path, target):
    """Writes a folder whose file `target` is damaged."""
    files = folder()
    family = chance.choice([*FAMILIES, "llama", "llama", "llama"])
    files["config.json"] = CONFIG | FAMILIES[family] | {"model_type": family, "architectures": [family]}
    if target.endswith(".safetensors"):
        header = struct.unpack("<Q", files[target][:8])[0]
        if chance.random() < 0.5:
            raw = changed(chance, json.loads(files[target][8 : 8 + header]))
            files[target] = struct.pack("<Q", len(raw)) + raw + files[target][8 + header :]
        else:
            files[target] = damaged(chance, files[target], 8 + header)
    elif chance.random() < 0.7:
        files[target] = changed(chance, files[target])
    else:
        raw = json.dumps(files[target]).encode()
        files[target] = damaged(chance, raw, len(raw))
    path.mkdir(exist_ok=True)
    for name, content in files.items():
        _write(path / name, content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def _write(path, data):
    """Writes a file unless it holds that already: on a busy disk, writing took three times as long as reading does."""
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)


def make_gguf(chance, path, writer):
    """Writes a damaged GGUF file."""
    fields = gguf_fields(chance)
    if chance.random() < 0.6:
        for _ in range(chance.choice([1, 1, 2, 3])):
            at = chance.randrange(len(fields))
            fields[at] = field(chance, *fields[at])
    named = {_gguf_name(name): shape for name, shape in TENSORS.items()}
    tensors = [writer.Tensor(name, shape[::-1], 0, bytes(4 * _count(shape))) for name, shape in named.items()]
    if chance.random() < 0.3:
        one = chance.choice(tensors)
        one.dims = tuple(chance.choice([1, 2, 32, 33, 64, 2**20, 2**40]) for _ in range(chance.randrange(1, 5)))
    file = writer.Gguf(fields, tensors)
    data = file.bytes()
    if chance.random() < 0.5:
        data = damaged(chance, data, len(file.header()))
    path.write_bytes(data)
    return path


def field(chance, key, kind, old):
    """Another value under a key, of its type or of another."""
    draw = chance.random()
    if kind == 9 and draw < 0.7 and old[1] and old[0] in (5, 6, 8):
        element, items = old
        items = list(items)
        if draw < 0.3:
            return key, kind, (element, items[: chance.randrange(len(items) + 1)])
        if draw < 0.5:
            return key, kind, (element, items * chance.choice([2, 50]))
        at = chance.randrange(len(items))
        items[at] = {8: chance.choice(["", "\x00", "</s>", items[0], "x" * 3000]), 5: chance.choice([-1, 0, 3, 4, 99]),
                     6: chance.choice([float("nan"), float("inf"), -1e30])}[element]  # fmt: skip
        return key, kind, (element, items)
    other = chance.choice([4, 5, 6, 7, 8, 9, 10, 12])
    drawn = chance.choice(EXTREMES)
    return key, other, {
        4: drawn & 0xFFFFFFFF, 5: (drawn & 0xFFFFFFFF) - 2**31, 10: drawn & (2**64 - 1), 7: chance.random() < 0.5,
        6: chance.choice([0.0, -1.0, 1e30, float("nan"), float("inf")]), 12: chance.choice([0.5, 1e300, float("nan")]),
        8: chance.choice(["", "x", "none", "linear", "\x1b[0m", "gemma3", "llama"]),
        9: (4, [drawn & 0xFFFFFFFF] * chance.choice([0, 1, 2, 1000])),
    }[other]  # fmt: skip


def _gguf_name(name):
    stem = name.removesuffix(".weight")
    if stem in GGUF_NAMES:
        return f"{GGUF_NAMES[stem]}.weight"
    return f"blk.0.{GGUF_NAMES[stem.rsplit('.', 1)[1]]}.weight"


def _count(shape):
    total = 1
    for extent in shape:
        total *= extent
    return total


def read(path: Path, cache: Path) -> str:
    """The whole reading path; -> "read" or "refused". Anything but the product's own errors escapes."""
    from undiced.checkpoint import open_checkpoint
    from undiced.core.errors import UndicedError
    from undiced.model import build
    from undiced.text import load_chat_template, load_tokenizer

    done = 0
    for work in (
        lambda checkpoint: build(checkpoint).dump(),
        lambda checkpoint: _used(load_tokenizer(checkpoint, cache)),
        load_chat_template,
    ):
        try:
            checkpoint = open_checkpoint(path)
            work(checkpoint)
            done += 1
        except UndicedError as error:
            assert error.message.isprintable() or error.message.encode(), "a message that cannot be shown"
            assert len(error.message) < 2000 and str(path.parent) not in str(error), str(error)[:400]
    return "read" if done == 3 else "refused"


def _used(tokenizer):
    text = "ab <s> c</s> \uff1cs\uff1e <|im_end|>"
    for special in (False, True):
        ids = tokenizer.encode(text, special=special)
        assert isinstance(tokenizer.decode(ids), str)
        assert special or not (tokenizer.control - {0}) & set(ids)
    assert all(tokenizer.token_text(i) for i in range(min(tokenizer.vocab_size, 300)))


def case(seed, kind, work, writer):
    """Makes the damaged file of a seed; -> its path."""
    chance = random.Random(f"{kind}-{seed}")
    return make_gguf(chance, work / "tiny.gguf", writer) if kind == "gguf" else make_folder(chance, work / "tiny", kind)
