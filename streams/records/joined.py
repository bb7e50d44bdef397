"""Messages put behind each other: one text, in which lines are found thousands at once."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from detectors.texts import Buffer
from streams.records.contract import Int64Array, Message
from streams.records.message_columns import MessageColumns


class Joined(NamedTuple):
    r"""The values of messages with a line end behind each, which ends every line, whatever it was written with.

    Attributes
    ----------
    buffer
        The text.
    begins, ends
        Where each message begins, and where the next one does; int64, shape (messages,).

    Examples
    --------
    >>> joined = Joined.of([Message(b"one\r\ntwo\r"), Message(b""), Message(b"three")])
    >>> joined.buffer.content(), joined.begins.tolist(), joined.ends.tolist()
    (b'one\ntwo\n\nthree\n', [0, 8, 9], [8, 9, 15])
    """

    buffer: Buffer
    begins: Int64Array
    ends: Int64Array

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Self:
        """Put messages behind each other."""
        if isinstance(messages, MessageColumns) and len(messages):
            # The buffer brings the last line end itself.
            buffer, sizes = Buffer([messages.records.joined()[:-1]]), messages.records.sizes
        else:
            values = [message.value for message in messages]
            buffer, sizes = Buffer(values), _sizes(values)
        if b"\r" in buffer and b"\r\n" in buffer:
            values = [message.value.replace(b"\r\n", b"\n").removesuffix(b"\r") for message in messages]
            buffer, sizes = Buffer(values), _sizes(values)
        ends = np.cumsum(sizes + 1)
        return cls(buffer, ends - 1 - sizes, ends)


def _sizes(values: Sequence[bytes]) -> Int64Array:
    return np.fromiter(map(len, values), np.int64, len(values))
