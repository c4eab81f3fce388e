"""Claims about speed: 2,314 against 32 tokens a second, 10 to 70 times GPU services, a minute's answer in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from undiced.core.errors import CompileError
from undiced.machine.gpu import GPUS, SERVER
from undiced.machine.gpu_points import POINTS
from undiced.machine.interval import Interval
from undiced.sim.acceptance import COUNTED, Acceptance
from undiced.study.claims.bench import ANSWER, ATTENDED, PROMPT, Bench
from undiced.study.claims.claim import Claim, Finding, Result
from undiced.study.claims.verdict import Said, edge, judged, least, most
from undiced.study.claims.waterfall import Waterfall, draw_waterfall
from undiced.study.gpu_group import SEQUENCES_MAX, Group
from undiced.study.profiles import acceptance_of, measured
from undiced.study.stated import LOOKUP
from undiced.study.variants import Timings
from undiced.validation.services import SERVICES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

TARGET, DRAFT = "llama-3.3-70b", "llama-3.2-1b"
EARLIER = "llama-3.1-70b"  # of the same sizes
SPEED, SERVICE = 2314.0, 32.0  # tokens/s of one user: on wafers, and of a GPU cloud service
LOW, HIGH = 10.0, 70.0
ACCEPTANCES = 0.7, 0.8  # assumed: of a draft's tokens
_MINUTE, _FEW = 60.0, 5.0  # seconds; a few are five, ours
_MOST_ACCEPTED = 0.99
_TOKENS = "tokens/s"
_SOURCE = "vendor, Artificial Analysis"


def wafers(bench: Bench) -> Result:
    """One user of the wafers, and what of a draft's tokens has to be accepted for what is said."""
    plain, draft = _timings(bench)
    speed = plain.tokens_per_second()
    found = Interval.of(speed)
    needed = [_acceptance(plain, draft, number) for number in range(len(plain.each))]
    known = [each for each in needed if each is not None]
    condition = None
    if len(known) == len(needed):
        spread = Interval.of(np.array(known))
        condition = (
            f"drafts are accepted at {spread.median:.2f} a token ({spread.low:.2f} to {spread.high:.2f}), where "
            f"{DRAFT} drafts on a wafer of its own"
        )
    findings = (
        Finding("said", SPEED, _TOKENS, _SOURCE),
        *(
            Finding(f"published, {each.known}", each.tokens_per_second, _TOKENS, _SOURCE)
            for each in SERVICES
            if each.model == EARLIER
        ),
        Finding(f"one user on {bench.program(TARGET).wafers} wafers, without speculation", found, _TOKENS),
        *(
            Finding(
                f"with {DRAFT} drafting, accepted at {each} (assumed)",
                Interval.of(plain.speculated(draft, Acceptance.assumed(each))),
                _TOKENS,
            )
            for each in ACCEPTANCES
        ),
        *_measured(plain, draft),
    )
    words = f"{found.median:,.0f} tokens/s ({found.low:,.0f} to {found.high:,.0f}) without speculation"
    return Result(findings, judged(found, Said.at_least(SPEED), words, (condition,)))


def _measured(plain: Timings, draft: Timings) -> Iterator[Finding]:
    """With guesses that are right as often as small models' were, likeliest tokens taken."""
    for each in measured():
        if not each.temperature and each.guessed[0] >= COUNTED:
            acceptance = acceptance_of((each,))
            looked_up = each.source == LOOKUP
            found = plain.looked_up(acceptance) if looked_up else plain.speculated(draft, acceptance)
            by = "lookups, right" if looked_up else f"{DRAFT} drafting, accepted"
            whose = f"in answers of {each.pair.target}" if looked_up else f"of {each.pair.draft} by {each.pair.target}"
            yield Finding(f"with {by} as often as {whose} ({each.work}, measured)", Interval.of(found), _TOKENS)


def service(bench: Bench) -> Result:
    """One user alone on GPUs, and how many have to share them for what is said."""
    groups = _groups(bench)
    main = _main(bench)
    alone = Interval.of(1 / main.token_s(1, ATTENDED))
    shared = {group.name: _sharers(group, SERVICE) for group in groups}
    findings = [
        Finding("said, of a GPU cloud service", SERVICE, _TOKENS, _SOURCE),
        Finding(f"one user alone on {main.name}", alone, _TOKENS),
        *(Finding(f"one user alone on {g.name}", _alone(g), _TOKENS) for g in groups if g.name != main.name),
        *(
            Finding(f"sequences that share {name} where each has so many", _number(count), "")
            for name, count in shared.items()
        ),
    ]
    count = shared[main.name]
    low, high = (_sharers(main, SERVICE, share) for share in (0.05, 0.95))
    condition = None
    if count is not None:
        condition = f"about {count:,} sequences share {main.name} ({_number(low)} to {_number(high)})"
    words = f"{alone.median:.3g} tokens/s for one user alone on {main.name}"
    return Result(tuple(findings), judged(alone, Said.about(SERVICE), words, (condition,)))


def times(bench: Bench) -> Result:
    """Wafers over GPUs on equal terms, and what has to be added until it is 10 and 70 times."""
    plain, draft = _timings(bench)
    mine, main = plain.tokens_per_second(), _main(bench)
    quick = _both(plain, draft)
    equal = Interval.of(_ratios(mine, 1 / main.token_s(1, ATTENDED)))
    fall = waterfall(bench)
    ten, seventy = _load_for(main, mine, LOW), _load_for(main, mine, HIGH)
    drafted = _load_for(main, quick, HIGH)
    last, how = (seventy, "nobody speculates") if drafted is None else (drafted, "the wafers alone speculate")
    first = None if ten is None else f"{main.name} have {_load(ten)} or more for {LOW:.0f} times (nobody speculates)"
    second = None if last is None else f"{_load(last)} or more for {HIGH:.0f} times ({how}), while wafers have one user"
    medusa = max(each.value for each in POINTS if each.gpu == "h200" and each.model == EARLIER and each.drafted)
    findings = (
        Finding("said", f"{LOW:.0f} to {HIGH:.0f}", "times", "the interview"),
        Finding(f"what is cited, {SPEED:,.0f} over {SERVICE:.0f}", SPEED / SERVICE, "times"),
        Finding(f"one user alone on either, nobody speculates; {main.name}", equal, "times"),
        *(
            Finding(f"the same, {group.name}", Interval.of(_ratios(mine, 1 / group.token_s(1, ATTENDED))), "times")
            for group in _groups(bench)
            if group.count == SERVER and group.name != main.name
        ),
        *(
            Finding(
                f"sequences on {group.name} from which on it is {LOW:.0f} times", _number(_load_for(group, mine, LOW))
            )
            for group in _groups(bench)
            if group.count == SERVER
        ),
        Finding(
            f"measured, both speculate: {SPEED:,.0f} over 8 x H200 with Medusa", SPEED / medusa, "times", "vendors"
        ),
        *(Finding(f"of it {step.what}", step.factor, "times") for step in fall.steps),
    )
    words = f"{equal.median:.3g} times ({equal.low:.3g} to {equal.high:.3g}) on equal terms"
    verdict = judged(equal, Said(LOW, HIGH), words, (first, second))
    return Result(findings, verdict, lambda: draw_waterfall(fall), (("waterfall", fall.as_dict()),))


def _load(count: int) -> str:
    return f"{count:,} sequence{'s' * (count > 1)}"


def reasoning(bench: Bench) -> Result:
    """As many tokens as a user alone on GPUs gets in a minute, on wafers."""
    plain, draft = _timings(bench)
    main = _main(bench)
    first = plain.first_token_s(PROMPT)
    count = float(np.median(_MINUTE / main.token_s(1, ATTENDED)))
    found = Interval.of(first + count / plain.tokens_per_second())
    quick = Interval.of(np.tile(first, len(ACCEPTANCES)) + count / _both(plain, draft))
    load = least(lambda n: _answer(main, plain, n) <= _FEW, 1, SEQUENCES_MAX)
    left = f"{quick.median:.2g} s ({quick.low:.2g} to {quick.high:.2g})"
    ways = [f"the wafers speculate, which leaves {left}"] if quick.high <= _FEW else []
    ways += [f"{load:,} sequences or more share {main.name}"] if load is not None else []
    condition = ", or ".join(ways) or None
    cited = Interval.of(first + _MINUTE * SERVICE / plain.tokens_per_second())
    findings = (
        Finding("said", "from a minute to a few seconds", "", "the interview"),
        Finding(f"tokens in a minute for one user alone on {main.name}", count, "tokens"),
        Finding("they take on wafers, without speculation", found, "s"),
        Finding(f"with {DRAFT} drafting, accepted at {ACCEPTANCES[0]} to {ACCEPTANCES[1]} (assumed)", quick, "s"),
        Finding(f"the {_MINUTE * SERVICE:,.0f} tokens that {SERVICE:.0f} a second make in a minute", cited, "s"),
    )
    words = f"{found.median:.2g} s ({found.low:.2g} to {found.high:.2g}) for a minute's tokens"
    return Result(findings, judged(found, Said(high=_FEW), words, (condition,)))


def _answer(main: Group, plain: Timings, load: int) -> float:
    """Seconds on wafers for what a sequence gets in a minute while so many share the GPUs."""
    count = _MINUTE / np.median(main.shared_token_s(load, PROMPT, ANSWER))
    return float(np.median(plain.first_token_s(PROMPT) + count / plain.tokens_per_second()))


def first_token(bench: Bench) -> Result:
    """Of a request's prompt on wafers alone, and the longest prompt within what is said."""
    plain, main = _timings(bench)[0], _main(bench)
    said = 0.170
    found = Interval.of(plain.first_token_s(PROMPT))
    longest = Interval.of(np.array([_longest(plain, number, said) for number in range(len(plain.each))], dtype=float))
    chunked = bench.prompt_program(TARGET)
    how = f"the same in chunks of {chunked.chunk}, on {chunked.wafers} wafers placed for prompts"
    quick = Interval.of(bench.prompt_cycles(chunked, PROMPT) / np.array(bench.over.clocks_hz))
    findings = (
        Finding("said", said * 1e3, "ms", _SOURCE),
        Finding(f"a prompt of {PROMPT:,} (assumed) on the wafers alone, token by token", found.times(1e3), "ms"),
        Finding(how, quick.times(1e3), "ms"),
        Finding("left for the network and waiting", said * 1e3 - found.times(1e3).high, "ms at least"),
        Finding("the longest prompt within what is said", longest, "tokens"),
        Finding(f"the same prompt on {main.name} alone", Interval.of(main.prompt_s(PROMPT)).times(1e3), "ms"),
    )
    condition = f"prompts have {longest.low:,.0f} tokens at most" if longest.low >= 1 else None
    words = f"{found.median * 1e3:.3g} ms ({found.low * 1e3:.3g} to {found.high * 1e3:.3g}) for {PROMPT:,} tokens"
    return Result(findings, judged(found, Said(high=said), words, (condition,)))


def _longest(plain: Timings, number: int, seconds: float) -> int:
    """The longest prompt that one draw begins to answer within so many seconds; 0 if none."""
    this = slice(number, number + 1)
    one = Timings(plain.each[this], plain.halfway[this], plain.crossings_s[this])
    return most(lambda tokens: float(one.first_token_s(tokens)[0]) <= seconds, 1, 1 << 20) or 0


def waterfall(bench: Bench) -> Waterfall:
    """From the service that is cited to the wafers that are cited, factor by factor."""
    plain, draft = _timings(bench)
    main = _main(bench)
    alone, mine = 1 / main.token_s(1, ATTENDED), plain.tokens_per_second()
    floor = np.array([1 / main.least_token_s(1, ATTENDED)])
    speculated = [plain.speculated(draft, Acceptance.assumed(each)) / mine for each in ACCEPTANCES]
    return Waterfall(
        SERVICE,
        SPEED,
        main.name,
        (
            ("load: a user alone instead of a shared service", Interval.of(alone / SERVICE)),
            ("software of GPUs: up to their memory's nominal rate", Interval.of(_ratios(floor, alone))),
            ("residency: weights in memory beside cores", Interval.of(_ratios(mine, floor))),
            (
                f"speculation on wafers, right at {ACCEPTANCES[0]} to {ACCEPTANCES[1]} (assumed)",
                Interval.of(np.concatenate(speculated)),
            ),
        ),
        bench.over.words,
    )


def _timings(bench: Bench) -> tuple[Timings, Timings]:
    """The target's and the draft's tokens."""
    target, draft = (bench.time(bench.program(name)) for name in (TARGET, DRAFT))
    return target, draft


def _both(plain: Timings, draft: Timings) -> Numbers:
    """Speculated speeds over draws and acceptances."""
    return np.concatenate([plain.speculated(draft, Acceptance.assumed(each)) for each in ACCEPTANCES])


def _acceptance(plain: Timings, draft: Timings, number: int) -> float | None:
    """The least acceptance at which one draw has the speed that is said; None if none has."""
    return edge(lambda share: plain.guessed(draft, Acceptance.assumed(share), number) >= SPEED, 0.0, _MOST_ACCEPTED)


def _main(bench: Bench) -> Group:
    """The GPUs that the cited service is taken to run on: eight H100, assumed."""
    return bench.group("h100", SERVER, TARGET)


def _groups(bench: Bench) -> list[Group]:
    """Servers of every kind, and half a server of H100."""
    every = [bench.group(name, SERVER, TARGET) for name in GPUS]
    return [*every, bench.group("h100", SERVER // 2, TARGET)]


def _alone(group: Group) -> Interval:
    return Interval.of(1 / group.token_s(1, ATTENDED))


def _sharers(group: Group, speed: float, share: float = 0.5) -> int | None:
    """The fewest sequences that share GPUs so that a share of the draws gives each at most so many tokens a second."""
    room = group.most(PROMPT + ANSWER)
    if not room:
        raise CompileError(f"{group.name} has no room for {TARGET}.", remedy="Use more of them.")
    return least(lambda n: bool(np.quantile(1 / group.shared_token_s(n, PROMPT, ANSWER), share) <= speed), 1, room)


def _load_for(group: Group, mine: Numbers, factor: float) -> int | None:
    """The fewest sequences that share the GPUs so that wafers are so many times as fast, in the median."""
    speed = float(np.median(mine)) / factor
    if float(np.median(1 / group.token_s(1, ATTENDED))) <= speed:
        return 1
    return _sharers(group, speed)


def _ratios(over: Numbers, under: Numbers) -> Numbers:
    """Every draw of one over every draw of the other."""
    found: Numbers = (over[:, None] / under[None, :]).ravel()
    return found


def _number(count: int | None) -> str:
    return "more than fit" if count is None else f"{count:,}"


CLAIMS = (
    Claim(
        "2314",
        "Llama 3.3 70B runs at 2,314 tokens per second for a user.",
        "Reproduced if a user has it without speculation under all that is assumed (5 % less is taken for rounding); "
        "else holds only if a draft's tokens are accepted as often as it takes, up to 0.99.",
        wafers,
    ),
    Claim(
        "32",
        "A GPU cloud service runs it at 32 tokens per second for a user.",
        "Reproduced if one user alone on 8 H100 has 5 % more or less; else holds only if as many sequences share them "
        f"as it takes, each with a prompt of {PROMPT:,} and an answer of {ANSWER} tokens (assumed), as far as memory "
        "holds them.",
        service,
    ),
    Claim(
        "70x",
        "Wafers are 10 to 70 times as fast as GPU services.",
        "Reproduced if on equal terms, one user alone on either and nobody speculating, the factor lies there; else "
        "holds only if as many share 8 H100 as it takes in the median, for 10 times without speculation and for 70 "
        "with it on wafers alone.",
        times,
        "claims-70x",
    ),
    Claim(
        "first-token",
        "The first token comes after 170 ms.",
        f"Reproduced if wafers alone read a prompt of {PROMPT:,} tokens (assumed) as fast under all that is assumed; "
        "else holds only if prompts are as short as it takes.",
        first_token,
    ),
    Claim(
        "reasoning",
        "Reasoning answers take a few seconds instead of a minute.",
        f"Reproduced if as many tokens as one user alone on 8 H100 gets in a minute take {_FEW:.0f} s at most on "
        "wafers, without speculation; else holds only if wafers speculate, or as many share the GPUs as it takes.",
        reasoning,
    ),
)
