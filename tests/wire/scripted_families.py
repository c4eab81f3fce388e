"""A server whose models, one for each format of calls, answer with the transcript that the last message names.

The HTTP server is the real one; the engine is scripted, so that clients can be tried with families whose models are too
large to run in a test. Run as a program, it prints where it listens.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))

from scripted import LineChat, ScriptedEngine
from support.transcripts import TRANSCRIPTS, Letters, Marked

from undiced.api.address import bind
from undiced.api.deployment import Deployment, ModelCard
from undiced.api.server import serve
from undiced.api.service import Service
from undiced.serve import Request
from undiced.text.formats import FORMATS, THOUGHTS, dialect_of

CONTEXT = 20_000
AGENT = "agent"  # a model that does what little is asked of it, for agents whose prompts are long
KNOWN = "gpt-5.6-sol"  # another name of it, which agents know to be a model that takes custom tools
COMMAND = {"cmd": "printf 'two\\n' > note.txt && cat note.txt"}
SCRIPT = f"const ran = await tools.exec_command({json.dumps(COMMAND)}); text(ran.output);"
PLACE = re.compile(r"^Write two into (/\S+)\n\Z", re.MULTILINE)  # a tool of another agent wants the whole path
AGENT_SAYS = {  # the end of the conversation, and what is said then
    "user: Write two into note.txt\n": "<think>A shell can do that.</think>I write it.\n<tool_call>\n"
    + json.dumps({"name": "exec_command", "arguments": COMMAND})
    + "\n</tool_call>",
    "user: Run it\n": "<tool_call>\n" + json.dumps({"name": "exec", "arguments": {"input": SCRIPT}}) + "\n</tool_call>",
    "user: Answer in JSON\n": '{"a":1}',
    "user: What is the weather in Paris?\n": "<think>A tool knows.</think>I look.\n<tool_call>\n"
    + json.dumps({"name": "weather", "arguments": {"city": "Paris", "days": 2}})
    + "\n</tool_call>",
    "plain\n": "It is plain.",
    "two\n": "Done: two",
}


def last(conversation: str) -> str:
    """The last message that is not the system's; agents add those behind what a person says."""
    parts = re.split(r"^(system|user|assistant|tool): ", conversation, flags=re.MULTILINE)[1:]
    role, content = next(pair for pair in zip(parts[-2::-2], parts[::-2], strict=True) if pair[0] != "system")
    return f"{role}: " + content.rstrip("\n") + "\n"


def answer(asked: str) -> str:
    """What the agent says to a message."""
    if found := PLACE.search(asked):
        call = {"name": "Write", "arguments": {"file_path": found[1], "content": "two\n"}}
        return f"<think>A tool can do that.</think>I write it.\n<tool_call>\n{json.dumps(call)}\n</tool_call>"
    otherwise = "Done: written" if asked.startswith("tool: ") else "What?"
    return next((text for end, text in AGENT_SAYS.items() if asked.endswith(end)), otherwise)


def deployment(name: str, thoughts: str) -> Deployment:
    """A model of one family, whose marks are control tokens."""
    marks = [*FORMATS[name].MARKS]
    row = THOUGHTS.get(thoughts)
    marks += [row.start.removesuffix("thought\n"), row.end] if row else []
    tokenizer = Letters(Marked(marks))

    def script(request: Request) -> list[int]:
        asked = "".join(map(chr, request.prompt)).rpartition("user: ")[2].splitlines()[0]
        return tokenizer.encode(TRANSCRIPTS[asked].text, special=True)

    return Deployment(
        ModelCard(name, 0, CONTEXT, name, calls=True),
        ScriptedEngine(name, script=script),  # type: ignore[arg-type]
        tokenizer,  # type: ignore[arg-type]
        LineChat(),
        dialect=dialect_of("", tokenizer, tools=name, thoughts=thoughts),
    )


def agent() -> Deployment:
    """The model that agents talk to."""
    found = deployment("hermes", "think")
    tokenizer = found.tokenizer

    def script(request: Request) -> list[int]:
        conversation = "".join(map(chr, request.prompt)).removesuffix("assistant: ")
        return tokenizer.encode(answer(last(conversation)), special=True)

    card = ModelCard(AGENT, 0, 10 * CONTEXT, AGENT, aliases=(KNOWN,), calls=True)
    engine = ScriptedEngine(AGENT, script=script)
    return Deployment(card, engine, tokenizer, LineChat(), dialect=found.dialect)  # type: ignore[arg-type]


async def main() -> None:
    """Serve until told to end."""
    thoughts = {"hermes": "think", "mistral": "bracket", "deepseek": "think", "gemma": "channel"}
    service = Service([deployment(name, thoughts.get(name, "none")) for name in FORMATS] + [agent()])
    sock = bind("127.0.0.1", 0)
    ready = {"event": "ready", "url": f"http://127.0.0.1:{sock.getsockname()[1]}", "model": "hermes"}
    ready["context"] = CONTEXT  # type: ignore[assignment]
    await serve(service, sock, on_ready=lambda: print(json.dumps(ready), flush=True), on_drain=lambda _: None)


if __name__ == "__main__":
    asyncio.run(main())
