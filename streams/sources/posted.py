"""What is posted over HTTP: deliveries of Amazon Data Firehose, and plain bodies of lines.

https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html
"""

import base64
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.sources.contract import Block
from streams.sources.lines import Lines

_GZIP: Final = b"\x1f\x8b"


class TooLargeError(InputError):
    """There is more in a body than is taken at a time."""


def opened(body: bytes, encoding: str, limit: int) -> bytes:
    """Take off the encoding of a body.

    Raises
    ------
    TooLargeError
        When there is more in it than `limit` bytes.
    streams.errors.InputError
        When it is not what it says, or the encoding is unknown.
    """
    if encoding in {"", "identity"} and not body.startswith(_GZIP):
        return body
    if encoding not in {"", "identity", "gzip"}:
        raise InputError(f"the content encoding {encoding!r} is unknown; send gzip, or none")
    try:
        text = gzip.GzipFile(fileobj=io.BytesIO(body)).read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"the body is no whole gzip: {error}") from error
    if len(text) > limit:
        raise TooLargeError(f"there are more than {limit:,} bytes in the body")
    return text


def delivery(body: bytes, request: str) -> list[bytes]:
    """Read the data of a request of Firehose.

    Raises
    ------
    streams.errors.InputError
        When it is none, or has another id than its header says.
    """
    try:
        document = json.loads(body)
        named = document["requestId"]
        data = [base64.b64decode(record["data"], validate=True) for record in document["records"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"the body is no delivery of Firehose: {error!r}") from error
    if named != request:
        raise InputError(f"the body is of the request {named!r}, its header of {request!r}")
    return data


def blocks_of(
    data: Iterable[bytes], origin: str, headers: Mapping[str, bytes], cut: BlockSettings, limit: int
) -> list[Block]:
    """Cut what was posted into blocks; data that is compressed by itself stays as it is, a block of its own.

    Positions are bytes of all blocks so far.

    Raises
    ------
    TooLargeError
        When there are more than `limit` bytes in it.
    streams.errors.InputError
        When it is damaged, or no text of lines.
    """
    found: list[Block] = []
    text: list[bytes] = []
    for each in data:
        if each.startswith(_GZIP):
            found.append(Block(each, headers, 1, origin, 0))
        elif each.strip():
            text.append(each.removesuffix(b"\n"))
    size = sum(len(block.value) for block in found)
    if text:
        lines = Lines(io.BytesIO(b"\n".join(text)), origin, headers=dict(headers), cut=cut)
        for block in lines.blocks():
            size += len(block.value)
            if size > limit:
                raise TooLargeError(f"{origin}: there are more than {limit:,} bytes of lines in it")
            found.append(block)
    return _numbered(found)


def _numbered(blocks: Iterable[Block]) -> list[Block]:
    numbered: list[Block] = []
    position, line = 0, 1
    for block in blocks:
        position += len(block.value) + 1
        numbered.append(replace(block, position=position, line=line, start=None))
        line += block.lines
    return numbered
