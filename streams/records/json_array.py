"""Records as one JSON array of objects, instead of one object to a line."""

import json
import re
from collections.abc import Iterator
from typing import Final

from streams.records.contract import Envelope, EnvelopeError
from streams.records.settings import RecordSettings

_BEGINS_WITH_OBJECT: Final = re.compile(rb"\s*\[\s*(\{|\]\s*\Z)")
_BETWEEN: Final = re.compile(r"\s*(,|\])\s*")
_BLANK: Final = re.compile(r"\s*")
_DECODER: Final = json.JSONDecoder(parse_int=str)
"""Leaves whole numbers as they are written: only where values end matters here, however long they are."""


class JsonArray(Envelope):
    """An array around objects, in one line or many; element n is line n."""

    name = "json-array"
    begins = b"["

    def recognises(self, value: bytes) -> bool:
        """Look whether the first element is an object, or there is none."""
        return _BEGINS_WITH_OBJECT.match(value) is not None

    def open(self, value: bytes, settings: RecordSettings) -> bytes:
        """Take the elements, byte for byte, each in a line of its own."""
        del settings
        try:
            return "\n".join(_elements(value.decode())).encode()
        except (ValueError, RecursionError) as error:
            raise EnvelopeError(f"not a JSON array: {error}") from error


def _elements(text: str) -> Iterator[str]:
    at = _after_blanks(text, text.index("[") + 1)
    ended = text.startswith("]", at)
    if ended:
        at = _after_blanks(text, at + 1)
    while not ended:
        _, end = _DECODER.raw_decode(text, at)
        # Inside of strings there are no line ends, so that those that go mean nothing.
        yield text[at:end].replace("\n", " ").replace("\r", " ")
        following = _BETWEEN.match(text, end)
        if following is None:
            raise ValueError(f"no comma or end behind the element that ends at character {end}")
        at, ended = following.end(), following[1] == "]"
    if at < len(text):
        raise ValueError(f"something stands behind its end, at character {at}")


def _after_blanks(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank is not None else at
