"""What a model knows of everyday things: twenty questions with checkable answers, packaged and with weights in f16.

    python benchmarks/everyday.py [--model MODEL] [--limit TOKENS] [--json]

The likeliest token is always taken. The second side is the same file with every matrix dequantized to f16, so that it
computes with activations that are not quantized either. A model without a chat template continues "Question: ...
Answer:" to the end of its line. The figures in the catalog's descriptions come from here. Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import tempfile
from pathlib import Path

from undiced import LLM, SamplingParams
from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.checkpoint.tensor import TensorInfo

LIMIT, BATCH, CONTEXT = 64, 20, 512
QUESTIONS: tuple[tuple[str, str], ...] = (  # what is asked, and what a right answer has
    ("What is the capital of France?", r"\bParis\b"),
    ("What is the capital of Japan?", r"\bTokyo\b"),
    ("What is 2+2?", r"\b(4|four)\b"),
    ("What is 7 times 8?", r"\b(56|fifty-six)\b"),
    ("How many days are in a week?", r"\b(7|seven)\b"),
    ("How many legs does a spider have?", r"\b(8|eight)\b"),
    ("Which planet is the largest in the solar system?", r"\bJupiter\b"),
    ("What color is the sky on a clear day?", r"\bblue\b"),
    ("What is the opposite of hot?", r"\bcold\b"),
    ("What is the chemical formula of water?", r"H2O|H₂O"),
    ("Who wrote Romeo and Juliet?", r"\bShakespeare\b"),
    ("In which year did the Second World War end?", r"\b1945\b"),
    ("What is the largest ocean?", r"\bPacific\b"),
    ("On which continent is Egypt?", r"\bAfrica\b"),
    ("At how many degrees Celsius does water boil?", r"\b100\b"),
    ("Translate 'good morning' to Spanish.", r"buenos d[ií]as"),
    ("What is the past tense of the verb 'go'?", r"\bwent\b"),
    ("Which gas do people need to breathe to live?", r"\boxygen\b"),
    ("Which animal says 'meow'?", r"\bcats?\b"),
    ("How many minutes are in an hour?", r"\b(60|sixty)\b"),
)
F16 = 1  # GGUF's number of the format


def in_f16(checkpoint: Checkpoint, path: Path) -> Path:
    """Write a GGUF file with the same metadata, its matrices in f16, vectors as they were."""
    from undiced.checkpoint.decode import to_float

    whole, infos = checkpoint.path.read_bytes(), list(checkpoint.tensors.values())
    head = whole[: whole.index(_name(infos[0]))]
    table, data = b"", []
    for info in infos:
        raw = checkpoint.raw(info.name)
        matrix = len(info.shape) > 1
        kept = to_float(info, raw).astype("<f2").tobytes() if matrix else bytes(raw)
        kind = F16 if matrix else 0
        assert matrix or info.format == "F32"
        dims = struct.pack(f"<I{len(info.shape)}Q", len(info.shape), *info.shape[::-1])
        table += _name(info) + dims + struct.pack("<IQ", kind, sum(map(len, data)))
        data.append(kept + b"\0" * (-len(kept) % 32))
    header = head + table
    path.write_bytes(b"".join([header, b"\0" * (-len(header) % 32), *data]))
    return path


def _name(info: TensorInfo) -> bytes:
    return struct.pack("<Q", len(info.name)) + info.name.encode()


def answers(model: str | Path, limit: int) -> list[str]:
    """What a model answers to every question."""
    with LLM(model, max_batch=BATCH, max_context=CONTEXT, speculate=False) as llm:
        if llm.can_chat:
            settings = SamplingParams(max_tokens=limit, temperature=0)
            chats = [llm.chat_ids([{"role": "user", "content": text}]) for text, _ in QUESTIONS]
            return [output.outputs[0].text for output in llm.generate(chats, settings)]
        settings = SamplingParams(max_tokens=limit, temperature=0, stop=("\n",))
        texts = [f"Question: {text}\nAnswer:" for text, _ in QUESTIONS]
        return [output.outputs[0].text for output in llm.generate(texts, settings)]


def judged(texts: list[str]) -> list[bool]:
    """Which answers are right."""
    return [bool(re.search(right, text, re.IGNORECASE)) for (_, right), text in zip(QUESTIONS, texts, strict=True)]


def main() -> None:
    """Ask both sides, print a line per question, end in one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--limit", type=int, default=LIMIT, help="tokens of an answer")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    args = parser.parse_args()
    checkpoint = open_checkpoint(args.model)
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "packaged": answers(args.model, args.limit),
            "f16": answers(in_f16(checkpoint, Path(folder) / "f16.gguf"), args.limit),
        }
    right = {side: judged(texts) for side, texts in sides.items()}
    if not args.json:
        for at, (question, _) in enumerate(QUESTIONS):
            marks = "  ".join(f"{side} {'right' if right[side][at] else 'WRONG'}" for side in sides)
            print(f"{marks}  {question}  {' '.join(sides['packaged'][at].split())[:60]!r}")
    found = {side: sum(marks) for side, marks in right.items()}
    command = f"python benchmarks/everyday.py --model {args.model} --limit {args.limit}"
    print(json.dumps({"command": command, "model": args.model, "questions": len(QUESTIONS), "right": found}))


if __name__ == "__main__":
    main()
