"""Writes a Llama of random weights as a GGUF file in Q4_0, with the embedded model's tokenizer, to time larger models.

    python benchmarks/random_model.py random-1.5b.gguf [--layers 24] [--hidden 2048] [--feed-forward 8192]

Speed does not depend on weights' values; quality can't be asked of such a file. Needs the `gguf` package (`.[oracle]`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np

from undiced.checkpoint import open_checkpoint

_ARCHITECTURE = "llama"
_BLOCK = 32  # weights that share a scale in Q4_0: 2 bytes of scale, 16 of nibbles


def q4_0(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Random blocks, [rows, bytes of a row], of all nibbles; scales keep a sum of `columns` terms near 1."""
    blocks = rng.integers(0, 256, (rows, columns // _BLOCK, 18), np.uint8)
    scales = rng.uniform(0.5, 1.5, blocks.shape[:2]) / (4.6 * np.sqrt(columns))  # 4.6: the deviation of -8 to 7
    blocks[:, :, :2] = scales.astype("<f2")[:, :, None].view(np.uint8)
    return blocks.reshape(rows, -1)


def copied(writer: gguf.GGUFWriter, source: Path, *, without: str) -> int:
    """Hands on what `source` says of its tokenizer and chat; returns the size of its vocabulary."""
    reader = gguf.GGUFReader(source)
    for name, field in reader.fields.items():
        if name.startswith(("GGUF.", without, "general.")):
            continue
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], inner)
    return len(reader.fields["tokenizer.ggml.tokens"].data)


def main() -> None:
    """Write the file and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    sizes = {"layers": 24, "hidden": 2048, "feed-forward": 8192, "heads": 32, "kv-heads": 8, "context": 8192}
    for name, usual in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    head = args.hidden // args.heads
    if args.hidden % _BLOCK or args.feed_forward % _BLOCK or args.heads * head != args.hidden:
        parser.error(f"widths must be multiples of {_BLOCK}, and heads must divide the hidden width")
    writer, rng = gguf.GGUFWriter(args.file, _ARCHITECTURE), np.random.default_rng(0)
    vocab = copied(writer, open_checkpoint("smollm2-135m").path, without=f"{_ARCHITECTURE}.")
    writer.add_block_count(args.layers)
    writer.add_context_length(args.context)
    writer.add_embedding_length(args.hidden)
    writer.add_feed_forward_length(args.feed_forward)
    writer.add_head_count(args.heads)
    writer.add_head_count_kv(args.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(vocab)
    shapes = {"attn_q": (args.hidden, args.hidden), "attn_k": (args.kv_heads * head, args.hidden),
              "attn_v": (args.kv_heads * head, args.hidden), "attn_output": (args.hidden, args.hidden),
              "ffn_gate": (args.feed_forward, args.hidden), "ffn_up": (args.feed_forward, args.hidden),
              "ffn_down": (args.hidden, args.feed_forward)}  # fmt: skip
    matrices = {"token_embd.weight": (vocab, args.hidden)}
    for layer in range(args.layers):
        matrices |= {f"blk.{layer}.{name}.weight": shape for name, shape in shapes.items()}
    for name, (rows, columns) in matrices.items():
        data = q4_0(rng, rows, columns)
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    ones = np.ones(args.hidden, np.float32)
    norms = [f"blk.{layer}.{name}.weight" for layer in range(args.layers) for name in ("attn_norm", "ffn_norm")]
    for name in [*norms, "output_norm.weight"]:
        writer.add_tensor(name, ones)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file(progress=True)
    writer.close()
    count = sum(rows * columns for rows, columns in matrices.values())
    print(f"{args.file}: {count / 1e9:.2f}e9 weights, {args.file.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
