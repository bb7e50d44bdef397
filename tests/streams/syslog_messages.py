"""Reads messages of syslog by the grammar of RFC 5424, with none of the code that writes them."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_HEADER: Final = re.compile(
    r"<(\d{1,3})>1 (\S+) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) \[([^ =\]\"]{1,32})"
)
_PARAMETER: Final = re.compile(r' ([^ =\]"]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"', re.DOTALL)


class Message(NamedTuple):
    """What a message says."""

    priority: int
    time: str
    hostname: str
    program: str
    process: str
    kind: str
    data_id: str
    data: Mapping[str, str]
    text: bytes


def parsed(message: bytes) -> Message:
    # The text may be anything, so it is kept apart by its bytes.
    decoded = message.decode("utf-8", "surrogateescape")
    found = _HEADER.match(decoded)
    assert found is not None, message
    data: dict[str, str] = {}
    at = found.end()
    while (parameter := _PARAMETER.match(decoded, at)) is not None:
        data[parameter[1]] = re.sub(r"\\(.)", r"\1", parameter[2])
        at = parameter.end()
    assert decoded[at : at + 2] == "] ", decoded[at:]
    text = decoded[at + 2 :].encode("utf-8", "surrogateescape")
    return Message(int(found[1]), found[2], found[3], found[4], found[5], found[6], found[7], data, text)
