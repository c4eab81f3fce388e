"""The queues between a core and its router: depths, and what it takes to give one another color. Knows no program."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.constant import Constant


@dataclass(frozen=True, slots=True)
class Queues:
    """Queues of one core.

    Attributes:
        input_0_words to input_7_words, output_0_words to output_7_words: depth of each queue; 0: it does not exist.
        reserved: queues of either kind, from the first, that the host's copy routines take.
        output_colors: colors that an output queue serves without being bound again.
        rebind_tasks: tasks dispatched when an output queue is bound to another color: the one that runs once the queue
            is empty, and the one that goes on; rebind_writes: registers written then.
    """

    input_0_words: Constant
    input_1_words: Constant
    input_2_words: Constant
    input_3_words: Constant
    input_4_words: Constant
    input_5_words: Constant
    input_6_words: Constant
    input_7_words: Constant
    output_0_words: Constant
    output_1_words: Constant
    output_2_words: Constant
    output_3_words: Constant
    output_4_words: Constant
    output_5_words: Constant
    output_6_words: Constant
    output_7_words: Constant
    reserved: Constant
    output_colors: Constant
    rebind_tasks: Constant
    rebind_writes: Constant
