from collections.abc import Mapping

import pytest

from streams.messages import pieces
from streams.records import Message, NetworkSettings, RecordSettings, decode_all
from streams.records.contract import DIALECT_HEADER, FORMAT_HEADER
from streams.sources import Block
from streams.sources.resumed import END
from tests.streams.flow_lines import flow

RECORDS = RecordSettings()


def headers_of(block: Block) -> Mapping[str, bytes]:
    (piece,) = pieces(block, 0, RECORDS)
    return dict(piece.headers)


@pytest.mark.parametrize(
    ("value", "dialect"),
    [
        (flow().encode(), b"aws-text"),
        (b'{"version":2,"srcaddr":"10.0.0.1","dstaddr":"10.0.0.2"}', b"aws-json"),
        (b"\x1f\x8b\x08 compressed by itself", None),
    ],
)
def test_a_message_says_in_which_dialect_it_is_where_that_is_known(value: bytes, dialect: bytes | None) -> None:
    assert headers_of(Block(value, {}, 1, "a.log", 9)).get(DIALECT_HEADER) == dialect


def test_a_dialect_that_the_source_knows_stays() -> None:
    assert headers_of(Block(b"x", {DIALECT_HEADER: b"ecs"}, 1, "a.log", 9))[DIALECT_HEADER] == b"ecs"


def test_a_message_says_where_it_came_from_and_how_far_that_was_read() -> None:
    headers = headers_of(Block(b"a 1", {FORMAT_HEADER: b"srcaddr dstaddr"}, 1, "s3://b/k", END, 7, "etag"))
    assert headers["flowhawk-source"] == b"s3://b/k"
    assert headers["flowhawk-position"] == b"end"
    assert headers["flowhawk-source-line"] == b"7"
    assert headers[FORMAT_HEADER] == b"srcaddr dstaddr"


def test_parquet_is_never_cut() -> None:
    (piece,) = pieces(Block(b"PAR1\n\n\n", {}, 3, "a", 9), 1)
    assert (piece.value, piece.records, piece.is_last) == (b"PAR1\n\n\n", 3, True)


def test_what_messages_say_of_themselves_changes_nothing_in_what_they_are_read_as() -> None:
    blocks = [Block(flow(port=number).encode(), {}, 1, "a.log", number, number) for number in range(1, 60)]
    bare = decode_all([Message(block.value) for block in blocks], RECORDS, NetworkSettings())
    said = [Message(piece.value, dict(piece.headers)) for block in blocks for piece in pieces(block, 0, RECORDS)]
    assert decode_all(said, RECORDS, NetworkSettings()).table.frame.equals(bare.table.frame)
