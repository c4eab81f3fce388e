"""Tape: the text of one answer as it comes, for readers that are written as if it were all there: generators, which
wait wherever nothing is certain yet.

Marks are found on it. One that is a control token stands on the tape as a single character that no text has, so that
it is known by its id; another one is text, and is never cut in two. Knows no format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from undiced.text.fold import Channel, Run
from undiced.text.formats.scan import MARKS, NotJsonError, Scan

T = TypeVar("T")
Step = Generator[None, None, T]
Put = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Thoughts:
    """The marks around a thought. name: what users call this way to write it; behind: what models write after it."""

    name: str
    start: str
    end: str
    behind: str = ""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How marks come in the answers of one model.

    Attributes:
        signs: the character that stands for each mark that is a control token, by the token's id.
        marks: the same by the mark's name.
    """

    signs: Mapping[int, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TapeOptions:
    """How an answer is read.

    Attributes:
        spelling: of its marks.
        thoughts: the marks of its thoughts, or None where it has none that are told apart.
        opened: it begins inside a thought, whose mark its prompt had.
        raw: thoughts stay in the content, with their marks.
        trim: blanks between content and a call are dropped.
        single: it ends behind its first call.
    """

    spelling: Spelling = field(default_factory=Spelling)
    thoughts: Thoughts | None = None
    opened: bool = False
    raw: bool = False
    trim: bool = True
    single: bool = False


class NotACallError(Exception):
    """What looked like a call is none."""


class Tape:
    """See the file's head.

    Attributes:
        text: what came and was not taken yet. over: nothing more comes.
        runs: what became certain.
        thinking: whether it stands inside a thought. calling: inside a call that was told.
        ended: the answer ends here, whatever follows.
    """

    def __init__(self, options: TapeOptions) -> None:
        self.text = ""
        self.over = False
        self.runs: list[Run] = []
        self.thinking = options.opened
        self.calling = False
        self.ended = False
        self._options = options
        self._marks = options.spelling.marks
        self._plain = {ord(sign): name for name, sign in self._marks.items()}  # what turns out to be no mark is text
        self._kept: list[str] | None = None  # what was taken and nobody was told, if it may have to be
        self._blank = ""  # at the end of what was said, until it is known what follows
        self._strip = False  # blanks come before anything was said
        self._fresh = not options.opened

    # What there is

    def peek(self) -> Step[str]:
        """The next character, not taken; empty at the end."""
        while not self.text:
            if self.over:
                return ""
            yield
        return self.text[0]

    def take(self, count: int) -> str:
        """The next characters, which are there."""
        if count == len(self.text):
            taken, self.text = self.text, ""
        else:
            taken, self.text = self.text[:count], self.text[count:]
        if self._kept is not None:
            self._kept.append(taken)
        return taken

    def blank(self) -> Step[str]:
        """Take blanks; returns the character behind them, not taken, or nothing at the end."""
        while (char := (yield from self.peek())).isspace():
            self.take(len(self.text) - len(self.text.lstrip()))
        return char

    def meets(self, *names: str) -> Step[str]:
        """The mark that comes next, taken; empty if none of these does."""
        spelled = {self._spelled(name): name for name in names}
        while True:
            found = next((mark for mark in spelled if self.text.startswith(mark)), None)
            if found is not None:
                self.take(len(found))
                return spelled[found]
            if self.over or not any(mark.startswith(self.text) for mark in spelled):
                return ""
            yield

    def until(self, put: Put, *names: str, leave: bool = False) -> Step[str]:
        """Hand text to `put`, as soon as it is certain, up to the first of these marks, which is taken unless it shall
        be left; returns its name, or nothing at the end.
        """
        spelled = tuple(map(self._spelled, names))
        found, begun, firsts = _patterns(spelled)
        while True:
            if firsts.search(self.text) is None:  # most text is nowhere near a mark
                if self.text:
                    put(self.take(len(self.text)))
                if self.over:
                    return ""
                yield
                continue
            if match := found.search(self.text):
                if match.start():
                    put(self.take(match.start()))
                if not leave:
                    self.take(len(match[0]))
                return names[spelled.index(match[0])]
            part = None if self.over else begun.search(self.text)
            certain = len(self.text) if part is None else part.start()
            if certain:
                put(self.take(certain))
            if self.over:
                return ""
            yield

    def json(self, put: Put) -> Step[None]:
        """Hand the JSON value that comes next to `put`, as it comes. Raises NotACallError for anything else."""
        scan = Scan()
        yield from self.blank()
        try:
            while not scan.done:
                if not (yield from self.peek()):
                    scan.finish()
                    return
                text, used = scan.feed(self.text)
                self.take(used)
                if text:
                    put(text)
        except NotJsonError:
            raise NotACallError from None

    def _spelled(self, name: str) -> str:
        """A mark as it comes: one may hold control tokens and text."""
        if (sign := self._marks.get(name)) is not None:
            return sign
        for mark, sign in self._marks.items():
            name = name.replace(mark, sign)
        return name

    # What is told

    def content(self, *names: str) -> Step[str]:
        """Tell what is said up to one of these marks, thoughts on the way apart; returns the mark, taken, or nothing at
        the end.
        """
        yield from self.opening()
        thoughts = self._options.thoughts
        start = thoughts.start if thoughts is not None and self._spelled(thoughts.start) != thoughts.start else None
        marks = names if start is None else (*names, start)
        while True:
            mark = yield from self.until(self.talk, *marks)
            if not mark or mark != start:
                break
            yield from self._think(self._blank)
        if not mark:
            self.close()
        return mark

    def opening(self) -> Step[None]:
        """Tell the thought that an answer begins with, if it does."""
        thoughts = self._options.thoughts
        if self.thinking:
            yield from self._think("")
        elif self._fresh and thoughts is not None:
            self.keep()
            yield from self.blank()
            blanks = "".join(self._kept or ())
            if (yield from self.meets(thoughts.start)):
                self._kept = None
                yield from self._think(blanks)
            else:
                self.give_back()
        self._fresh = False

    def talk(self, text: str) -> None:
        """Content. Blanks at its end wait for what follows."""
        self._told()
        if self._options.trim:
            self._trimmed("content", text)
            return
        text, self._blank = self._blank + text, ""
        self._tell("content", text)

    def reason(self, text: str) -> None:
        """A piece of a thought, without blanks around it."""
        self._trimmed("reasoning", text)

    def _trimmed(self, channel: Channel, text: str) -> None:
        """Text without blanks where a stretch begins; those at its end wait."""
        text = self._blank + text
        if self._strip:
            text = text.lstrip()
        said = text.rstrip()
        self._blank = text[len(said) :]
        if said:
            self._strip = False
            self._tell(channel, said)

    def turn(self, *, thinking: bool, apart: str = "") -> None:
        """Another stretch begins: a thought or none. apart: what goes between it and one of its kind."""
        self.thinking = thinking and not self.ended
        self._blank, self._strip = apart, not apart
        self._tell_channel("reasoning" if thinking else "content")

    def _think(self, blanks: str) -> Step[None]:
        """Tell a thought up to its end; its mark, behind these blanks, was taken unless the prompt had it."""
        thoughts = self._options.thoughts
        assert thoughts is not None
        begun, self.thinking, self._blank = not self.thinking, True, ""
        if self._options.raw:
            self._tell("content", blanks + thoughts.start if begun else "")
            if (yield from self.until(lambda text: self._tell("content", text), thoughts.end)):
                self._tell("content", thoughts.end)
        else:
            self.turn(thinking=True)
            yield from self.until(self.reason, thoughts.end)
        self.rest()

    def rest(self) -> None:
        """A thought has ended; its mark belongs to it."""
        self._tell_channel("reasoning")
        self.thinking, self._blank, self._strip = False, "", not self._options.raw

    def close(self) -> None:
        """Nothing more is said: blanks at the end are content after all."""
        self._tell("content", self._blank)
        self._blank = ""

    def call(self, name: str) -> None:
        """A call of a function begins."""
        self.calling, self._kept, self._blank, self._strip = True, [], "", True
        self.runs.append(Run("tool_call", "", name))

    def argue(self, text: str) -> None:
        """A piece of its arguments."""
        self._told()
        self._tell("tool_call", text)

    def break_off(self) -> None:
        """Its arguments are not what they should be: what was taken of them is told as it stands."""
        self.argue("".join(self._kept or ()))

    def _told(self) -> None:
        if self.calling and self._kept:
            self._kept.clear()

    def done(self) -> None:
        """The call is complete."""
        self.calling, self._kept = False, None
        self.ended = self._options.single

    def keep(self, mark: str = "") -> None:
        """Remember what is taken from here on; it may have to be given back. mark: taken already."""
        self._kept = [self._spelled(mark)]
        if mark:
            self.runs.append(Run("tool_call", ""))

    def forget(self) -> None:
        """What was kept is not needed any more."""
        self._kept = None

    def give_back(self) -> None:
        """What was taken is no call but content."""
        kept, self._kept = "".join(self._kept or ()), None
        if kept:
            self.talk(kept)

    def _tell(self, channel: Channel, text: str) -> None:
        if self._plain:
            text = text.translate(self._plain)
        if text:
            self.runs.append(Run(self._shown(channel), text))

    def _tell_channel(self, channel: Channel) -> None:
        self.runs.append(Run(self._shown(channel), ""))

    def _shown(self, channel: Channel) -> Channel:
        return "content" if channel == "reasoning" and self._options.raw else channel


Read = Callable[[Tape], Step[None]]


class Reader:
    """Drives a generator that reads a tape: the `Channels` of one answer."""

    __slots__ = ("_script", "_signs", "_tape")

    def __init__(self, read: Read, options: TapeOptions) -> None:
        self._tape = Tape(options)
        self._signs = options.spelling.signs
        self._script = read(self._tape)

    @property
    def thinking(self) -> bool:
        """Whether the answer stands inside a thought."""
        return self._tape.thinking

    @property
    def ended(self) -> bool:
        """Whether the answer ends here."""
        return self._tape.ended

    def push(self, token: int, text: str) -> Sequence[Run]:
        """See `Channels`."""
        tape = self._tape
        text = self._signs.get(token, text)
        if not text or tape.ended:
            return ()
        tape.text += text
        return self._go_on()

    def flush(self, text: str) -> Sequence[Run]:
        """See `Channels`."""
        if self._tape.ended:
            return ()
        self._tape.text += text
        self._tape.over = True
        return self._go_on()

    def _go_on(self) -> Sequence[Run]:
        next(self._script, None)
        runs, self._tape.runs = self._tape.runs, []
        return runs


@lru_cache(256)
def _patterns(marks: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Finds the first of some marks, the longest where two begin; the beginning of one at a text's end; and any
    character that one begins with.
    """
    longest = sorted(marks, key=len, reverse=True)
    begun = sorted({mark[:end] for mark in marks for end in range(1, len(mark))}, key=len, reverse=True)
    never = "(?!)"
    whole = "|".join(map(re.escape, longest)) or never
    part = "|".join(map(re.escape, begun)) or never
    firsts = "|".join(sorted({re.escape(mark[0]) for mark in marks})) or never
    return re.compile(whole), re.compile(f"(?:{part})\\Z"), re.compile(firsts)


def spelled(names: Sequence[str], ids: Mapping[str, int]) -> Spelling:
    """How these marks come where some of them are control tokens, whose ids are given."""
    signs = {name: MARKS[at] for at, name in enumerate(dict.fromkeys(name for name in names if name in ids))}
    return Spelling({ids[name]: sign for name, sign in signs.items()}, signs)
