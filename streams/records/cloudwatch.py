"""What CloudWatch Logs and Data Firehose wrap around flow log lines.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from streams.records.contract import Envelope, EnvelopeError
from streams.records.settings import RecordSettings

_LOOKED_AT: Final = 512
_BEGINS_WITH_MESSAGE: Final = re.compile(rb'\s*\{\s*"message"\s*:\s*"')
_DECODER: Final = json.JSONDecoder()


class Base64(Envelope):
    """Base64 around gzip, which is how Lambda and Kinesis hand on subscriptions."""

    name = "base64"
    begins = b"H"

    def recognises(self, value: bytes) -> bool:
        """Look for the first three bytes of gzip, encoded."""
        return value.lstrip()[:4] == b"H4sI"

    def open(self, value: bytes, settings: RecordSettings) -> bytes:
        """Decode."""
        del settings
        try:
            return base64.b64decode(b"".join(value.split()), validate=True)
        except binascii.Error as error:
            raise EnvelopeError(f"base64 cannot be decoded: {error}") from error


class Subscription(Envelope):
    """A CloudWatch Logs subscription's events, one or several of them behind each other; event n is line n."""

    name = "cloudwatch-subscription"
    begins = b"{"

    def recognises(self, value: bytes) -> bool:
        """Look for the key that says what kind of message it is."""
        key = b'"messageType"'
        return key in value[:_LOOKED_AT] or key in value[-_LOOKED_AT:]

    def open(self, value: bytes, settings: RecordSettings) -> bytes:
        """Take the events' messages."""
        del settings
        try:
            events = [event for document in _documents(value) for event in _events(document)]
        except (ValueError, RecursionError) as error:
            raise EnvelopeError(f"a CloudWatch subscription that is not JSON: {error}") from error
        return b"\n".join(events)


class Firehose(Envelope):
    """Lines of `{"message": "..."}`, which is how flow logs arrive that are delivered to Data Firehose."""

    name = "firehose"
    begins = b"{"

    def recognises(self, value: bytes) -> bool:
        """Look whether the first key is `message`."""
        return _BEGINS_WITH_MESSAGE.match(value, 0, _LOOKED_AT) is not None

    def open(self, value: bytes, settings: RecordSettings) -> bytes:
        """Take the message of each line; a line without stays as it is, and is refused as text."""
        del settings
        return b"\n".join(_message(line) for line in value.split(b"\n"))


def _documents(value: bytes) -> Iterator[Any]:
    text = value.decode("utf-8", "surrogateescape")
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return
        document, at = _DECODER.raw_decode(text, at)
        yield document


def _events(document: Any) -> Iterator[bytes]:
    kind = document.get("messageType") if isinstance(document, dict) else None
    if kind == "CONTROL_MESSAGE":
        return
    events = document.get("logEvents") if kind == "DATA_MESSAGE" else None
    if not isinstance(events, list):
        raise EnvelopeError("a CloudWatch subscription without log events")
    for event in events:
        text = event.get("message") if isinstance(event, dict) else None
        yield _one_line(text) if isinstance(text, str) else _no_record(event)


def _message(line: bytes) -> bytes:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return line
    text = document.get("message") if isinstance(document, dict) else None
    return _one_line(text) if isinstance(text, str) else line


def _one_line(text: str) -> bytes:
    """Keep a message to its line, and its bytes as they came, whatever they are."""
    line = text.strip("\r\n")
    try:
        return line.encode("utf-8", "surrogateescape") if "\n" not in line else _no_record(text)
    except UnicodeEncodeError:
        return _no_record(text)


def _no_record(value: Any) -> bytes:
    """Write what cannot be a line behind a byte that no record has, so that it is refused with all that was in it."""
    return b"\0" + json.dumps(value).encode()
