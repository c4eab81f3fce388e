"""What every `--help` has besides its options: examples that work as they stand, and plain words for kinds of values.

Knows commands by their names and the parser's parameters; runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

# What can be typed after `undiced`, in this order, in an empty folder: a few need a file that is named plainly.
EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "serve": (
        "serve",
        "serve model.gguf --port 8001 --max-context 4096",
        "serve smollm2-135m org/name --served-model-name small=smollm2-135m",
    ),
    "chat": ("chat", 'chat smollm2-135m "What is the capital of France?"', "chat --system 'Answer in one sentence.'"),
    "generate": (
        'generate "What is the capital of France?"',
        'generate smollm2-135m --raw -p "Once upon a time" -n 40',
        "generate --json --seed 1 < question.txt",
        'generate "Describe a cat." --schema cat.json',
    ),
    "models": ("models", "models --configurations"),
    "pull": ("pull smollm2-135m", "pull org/name:Q8_0", "pull hf:org/name/file.gguf --revision main"),
    "show": ("show smollm2-135m", "show smollm2-135m --template", "show --json smollm2-135m"),
    "rm": ("rm gemma3-270m", "rm org/name"),
    "doctor": ("doctor", "doctor --no-run --json"),
    "bench engine": ("bench engine", "bench engine --work decode --rounds 9", "bench engine -o roofline.svg"),
    "machines": ("machines", "machines wse3 --sources", "machines wse3 --toml > own.toml"),
    "compile": (
        "compile llama-3.1-8b",
        "compile llama-3.1-8b --context 8192 -o program",
        "compile smollm2-135m --machine host",
    ),
    "simulate": (
        "simulate llama-3.1-8b --weights int8",
        "simulate llama-3.1-8b --phase prefill --context 2048 --json",
        "simulate program",
    ),
    "sweep": (
        "sweep llama-3.1-8b --wafers 1,2 --context 1k,4k",
        "sweep llama-3.1-8b --batch 1,8 -o rows.csv",
        "sweep llama-3.1-8b --context 1k,2k,4k,8k --plot",
    ),
    "frontier": (
        "frontier llama-3.1-8b --wafers 1",
        "frontier llama-3.1-8b --context 2k,16k --lockstep 1,8 -o frontier.svg",
        "frontier qwen3-30b-a3b --routing zipf --json",
    ),
    "yield": (
        "yield",
        "yield llama-3.1-8b --wafers 1000",
        "yield llama-3.3-70b --mtbf 1e8 --spare-wafers 0 --spare-wafers 2",
        "yield --clusters --spares 1,2,4,8 --plot yield.svg",
    ),
    "validate": ("validate", "validate --verbose"),
    "map": (
        "map llama-3.1-8b",
        "map program -o wafer.svg --show time",
        "map llama-3.1-8b --wafers 2 --json",
    ),
    "trace": ("trace llama-3.1-8b", "trace program -o token.json", "trace llama-3.1-8b --context 8192 --json"),
    "power": (
        "power llama-3.1-8b",
        "power llama-3.1-8b --batch 6 -o power.svg",
        "power program --sources",
    ),
    "cost": (
        "cost llama-3.1-8b",
        "cost llama-3.1-8b --users 1000 --speed 500 --context 4096",
        "cost program --system-price 2M-3M --utilization 0.5 --json",
    ),
    "compare": (
        "compare llama-3.1-8b",
        "compare llama-3.1-8b --gpus h100,b200 --batch 1,8,64 --all",
        "compare llama-3.1-8b --clock 1.1 -o compare.svg --json",
    ),
    "claims": ("claims --list", "claims sram cores", "claims 70x -o 70x.svg"),
    "run": (
        'run -p "The capital of France is" -n 4',
        "run --machine toy-12x12 --numbers wafer -p Hello -n 2",
        "run -p Hello -n 4 --fail 5,7@3:corrupt",
    ),
    "diff": ("diff graph host", "diff host wafer -n 4"),
    "fabric run": (
        "fabric run chain.py",
        "fabric run chain.py --set cores=64 --machine wse2 --link-rate 1",
        "fabric run chain.py --skew 100 --seed 7 --json",
        "fabric run chain.py --loads loads.svg --trace trace.json",
    ),
    "fabric layer": (
        "fabric layer llama-3.1-8b",
        "fabric layer smollm2-135m --machine toy-24x24 --context 64 --loads loads.svg",
        "fabric layer config.json --machine wse2 --mapping waferllm --phase prefill --region 60x60 --context 540",
    ),
    "org create": ("org create acme",),
    "org list": ("org list", "org list --all --json"),
    "org show": ("org show acme",),
    "project create": ("project create web --org acme",),
    "project list": ("project list",),
    "project show": ("project show web",),
    "member create": (
        "member create ada@example.com --role org_admin",
        "member create ben@example.com --role member --project web",
    ),
    "member list": ("member list",),
    "member show": ("member show ada@example.com",),
    "member grant": ("member grant ben@example.com --role project_admin --project web",),
    "member withdraw": ("member withdraw ben@example.com --role member --project web",),
    "member invite": (
        "member invite eve@example.com --role member --expires 48h > invitation.txt",
        "member invite zoe@example.com --role billing --json",
    ),
    "member invitations": ("member invitations",),
    "member accept": ("member accept < invitation.txt",),
    "member uninvite": ("member uninvite zoe@example.com",),
    "member archive": ("member archive ben@example.com --yes",),
    "key create": (
        "key create --name ci --expires 90d",
        "key create --name page --project web --scope inference --model smollm2-135m",
        "key create --name console --kind management --member ada@example.com",
        "key create --name all --kind management --operator",
    ),
    "key list": ("key list", "key list --all", "key list --operator --json"),
    "key show": ("key show ci",),
    "key rotate": ("key rotate ci --overlap 24h",),
    "key revoke": ("key revoke page --yes",),
    "tier list": ("tier list",),
    "tier set": ("tier set acme developer",),
    "limit set": (
        "limit set acme --rpm 300 --tpm 1.5M",
        "limit set acme --project web --model smollm2-135m --tpm 500k",
        "limit set --key ci --concurrency 4 --rpm none",
    ),
    "limit list": ("limit list", "limit list acme --project web --json"),
    "limit clear": ("limit clear acme --project web",),
    "price set": (
        "price set smollm2-135m --input 0.35 --cached-input 0.10 --output 0.75",
        "price set gemma3-270m --input 0.50 --output 1 --from 30d --flex 0.4",
    ),
    "price list": ("price list", "price list --all --json"),
    "price cancel": ("price cancel gemma3-270m",),
    "credit add": ("credit add acme 25", "credit add acme 5.50 --expires 1y --note welcome"),
    "credit list": ("credit list",),
    "credit balance": ("credit balance acme",),
    "credit terms": ("credit terms acme --postpaid",),
    "budget set": ("budget set acme 100", "budget set acme 20 --project web --warn"),
    "budget list": ("budget list",),
    "budget remove": ("budget remove --project web",),
    "usage": (
        "usage",
        "usage acme --by project --by model --month 2026-11",
        "usage acme --by day --since 7d --csv",
    ),
    "invoice": ("invoice acme 2026-11", "invoice acme 2026-11 --csv"),
    "audit": ("audit", "audit --org acme --limit 5"),
    "db upgrade": ("db upgrade", "db upgrade --db accounts.db"),
    "db check": ("db check",),
    "db backup": ("db backup copy.db",),
    "project archive": ("project archive web --yes",),
    "org archive": ("org archive acme --yes",),
    "help": ("help serve", "help key rotate"),
    "version": ("version", "version --json"),
}
_VALUES = {
    "int": "N",
    "integer": "N",
    "integer range": "N",
    "text": "TEXT",
    "int range": "N",
    "float": "X",
    "float range": "X",
    "str": "TEXT",
    "list[str]": "TEXT",
    "path": "PATH",
}


class Parameter(Protocol):
    """An option or an argument, as the parser knows it."""

    param_type_name: str


class Command(Protocol):
    """A command, as the parser knows it."""

    @property
    def params(self) -> Sequence[Parameter]:
        """Its options and arguments."""


def explain(name: str, command: Command) -> None:
    """Give a command its examples, and its options plain words for values."""
    setattr(command, "epilog", "\b\nExamples:\n" + "\n".join(f"  undiced {line}" for line in EXAMPLES[name]))  # noqa: B010
    for parameter in command.params:
        _name_value(parameter)


def _name_value(parameter: Parameter) -> None:
    kind = _VALUES.get(_kind(parameter))
    if kind is None:  # choices, and switches
        return
    if parameter.param_type_name == "argument":
        setattr(parameter, "display_type", lambda ctx: "")  # noqa: B010  # its name says it
    elif getattr(parameter, "metavar", None) is None:
        setattr(parameter, "metavar", kind)  # noqa: B010


def _kind(parameter: Parameter) -> str:
    """How the parser calls the kind of a parameter's values; its versions differ."""
    if (shown := getattr(parameter, "display_type", None)) is not None:
        return str(shown(None)).strip("<>")
    return str(getattr(getattr(parameter, "type", None), "name", ""))
