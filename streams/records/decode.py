"""From messages to the record table: open envelopes, find the dialect, read, check, complete."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import repeat
from operator import attrgetter, eq, itemgetter
from typing import Final, NamedTuple, TypeVar

import numpy as np
import polars as pl

import streams.records
from detectors.discovery import implementations
from detectors.table import Table
from detectors.texts import Texts
from streams.records.check import Checked, check
from streams.records.complete import complete
from streams.records.contract import (
    DIALECT_HEADER,
    FORMAT_HEADER,
    SAMPLING_HEADER,
    Decoded,
    Dialect,
    Envelope,
    EnvelopeError,
    Int64Array,
    Message,
    Place,
    Refusal,
)
from streams.records.message_columns import MessageColumns, with_header
from streams.records.refused import Refused
from streams.records.refused import frame as refused_frame
from streams.records.settings import NetworkSettings, RecordSettings

_DEEPEST: Final = 4
"""Envelopes inside envelopes that are opened: base64, gzip, subscription, and one to spare."""

_BLANKS: Final = b" \t\r\n"
_BLANK_BYTES: Final = frozenset((b" ", b"\t", b"\r", b"\n"))
_BATCH_ROWS: Final = 32_768
_NO_LIMIT: Final = 2**62
_WEIGHT_DIGITS: Final = 9

_VALUE: Final = attrgetter("value")
_HEADERS: Final = attrgetter("headers")
_FIRST_BYTE: Final = itemgetter(slice(1))

Kind = TypeVar("Kind", Dialect, Envelope)


@cache
def dialects() -> tuple[Dialect, ...]:
    """Return every dialect there is, in the order in which they are asked."""
    return _ordered(
        each()
        for each in implementations(streams.records, Dialect)  # type: ignore[type-abstract]  # abstract on purpose
    )


@cache
def envelopes() -> tuple[Envelope, ...]:
    """Return every envelope there is, in the order in which they are asked."""
    return _ordered(
        each()
        for each in implementations(streams.records, Envelope)  # type: ignore[type-abstract]  # abstract on purpose
    )


def _ordered(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    return tuple(sorted(kinds, key=attrgetter("last", "name")))


@cache
def _beginning(byte: bytes) -> tuple[tuple[Envelope, ...], tuple[Dialect, ...]]:
    """Return the envelopes and dialects that may begin with a byte."""
    return (
        tuple(each for each in envelopes() if byte and byte in each.begins),
        tuple(each for each in dialects() if byte and byte in each.begins),
    )


def decode(message: Message, records: RecordSettings, networks: NetworkSettings) -> Decoded:
    r"""Decode one message.

    Examples
    --------
    >>> line = b"2 123456789010 eni-1 192.0.2.1 10.0.0.5 40000 22 6 3 180 1700000000 1700000050 REJECT OK"
    >>> decoded = decode(Message(line + b"\nnonsense"), RecordSettings(), NetworkSettings())
    >>> decoded.table.frame["destination_port"].to_list(), decoded.refused["reason"].to_list()
    ([22], ['wrong field count: 1 instead of 14'])
    """
    return decode_all([message], records, networks)


def decode_all(messages: Sequence[Message], records: RecordSettings, networks: NetworkSettings) -> Decoded:
    """Decode messages at one go: the same as each on its own, one below the other."""
    groups, unopened = sort_out(messages, records)
    refused = [Refused.of(unopened)]
    parts: list[Checked] = []
    for group in groups:
        latest = _latest(group.messages, records)
        for read in group.dialect.read(group.messages, group.layout, records):
            refused.append(group.renumbered(read.refused))
            if not len(read.messages):
                continue
            part = check(read, None if latest is None else latest[read.messages])
            refused.append(group.renumbered(part.refused))
            part.messages = group.indices[part.messages]
            if len(part.messages):
                parts.append(part)
    table, sources = _table(parts, networks)
    table = _weighed(table, sources, messages)
    return Decoded(table, refused_frame(refused), np.bincount(sources, minlength=len(messages)))


class Group(NamedTuple):
    """Messages that are read at one go, as they are without their envelopes, and their indices among all."""

    dialect: Dialect
    layout: str
    messages: Sequence[Message]
    indices: Int64Array

    def renumbered(self, refusals: Sequence[Refusal]) -> Refused:
        """Name messages by their indices among all."""
        return Refused.of(refusals).renumbered(self.indices)


def sort_out(messages: Sequence[Message], records: RecordSettings) -> tuple[list[Group], list[Refusal]]:
    """Open envelopes, and put messages of one dialect and layout together."""
    alike = _alike(messages, records)
    if alike is not None:
        return [alike], []
    refused: list[Refusal] = []
    groups: dict[tuple[str, str], tuple[Dialect, list[Message], list[int]]] = {}
    for index, message in enumerate(messages):
        try:
            opened = _opened(message, records)
        except EnvelopeError as error:
            refused.append(Refusal(Place(index, 1, message.value), str(error)))
            continue
        if not opened.value.strip(_BLANKS):
            continue
        dialect = _dialect(opened, records)
        if dialect is None:
            refused.append(Refusal(Place(index, 1, message.value), "written in a dialect that nobody knows"))
            continue
        layout = dialect.layout(opened, records)
        _, members, indices = groups.setdefault((dialect.name, layout), (dialect, [], []))
        members.append(opened)
        indices.append(index)
    return [
        Group(dialect, layout, members, np.array(indices, np.int64))
        for (_, layout), (dialect, members, indices) in groups.items()
    ], refused


def _alike(messages: Sequence[Message], records: RecordSettings) -> Group | None:
    """Put all messages together where their first bytes and headers alone say that they belong together."""
    if not messages:
        return None
    headers = messages[0].headers
    if isinstance(messages, MessageColumns) and messages.records.headers is None:
        first = messages.first_bytes()
    # Where a message came from is its own; what it says of its lines is what counts.
    elif not all(map(eq, map(_HEADERS, messages), repeat(headers))) and len({_said(each) for each in messages}) > 1:
        return None
    else:
        first = set(map(_FIRST_BYTE, map(_VALUE, messages)))
    candidates = {_beginning(byte) for byte in first}
    if len(candidates) != 1 or not _BLANK_BYTES.isdisjoint(first):
        return None
    ((wrappings, written),) = candidates
    stated = headers.get(DIALECT_HEADER)
    if wrappings or len(written) != 1 or not written[0].last or stated not in {None, written[0].name.encode()}:
        return None
    return Group(written[0], written[0].layout(messages[0], records), messages, np.arange(len(messages)))


def _said(message: Message) -> tuple[bytes | None, ...]:
    return tuple(map(message.headers.get, (DIALECT_HEADER, FORMAT_HEADER, SAMPLING_HEADER)))


def stated_dialect(message: Message, records: RecordSettings) -> str | None:
    """Name the dialect that a message is read in; None where nobody knows, or an envelope is around it.

    >>> stated_dialect(Message(b"2 123456789012 eni-1 10.0.0.1 10.0.0.2 1 2"), RecordSettings())
    'aws-text'
    """
    if any(each.recognises(message.value) for each in _beginning(_first(message.value))[0]):
        return None
    dialect = _dialect(message, records)
    return None if dialect is None else dialect.name


def _opened(message: Message, records: RecordSettings) -> Message:
    value = message.value
    for _ in range(_DEEPEST):
        envelope = next((each for each in _beginning(_first(value))[0] if each.recognises(value)), None)
        if envelope is None:
            return message if value is message.value else message._replace(value=value)
        value = envelope.open(value, records)
    raise EnvelopeError(f"more than {_DEEPEST} envelopes inside each other")


def _first(value: bytes) -> bytes:
    first = value[:1]
    return value.lstrip(_BLANKS)[:1] if first in _BLANK_BYTES else first


def _dialect(message: Message, records: RecordSettings) -> Dialect | None:
    stated = message.headers.get(DIALECT_HEADER)
    if stated is not None:
        return next((each for each in dialects() if each.name.encode() == stated), None)
    return next((each for each in _beginning(_first(message.value))[1] if each.recognises(message, records)), None)


def _latest(messages: Sequence[Message], records: RecordSettings) -> Int64Array | None:
    """Return the latest time that a record of each message may end at; None where nobody knows any."""
    if isinstance(messages, MessageColumns):
        written = np.maximum(messages.records.timestamps, 0)
    else:
        written = np.array([message.timestamp or 0 for message in messages], np.int64)
    if not written.any():
        return None
    return np.where(written == 0, _NO_LIMIT, written // 1000 + records.future_tolerance_seconds)


def _table(parts: Sequence[Checked], networks: NetworkSettings) -> tuple[Table, Int64Array]:
    """Build the table of all rows in order, and say which message each came from."""
    alike: dict[tuple[object, ...], list[Checked]] = {}
    for part in parts:
        buffers = (column.buffer if isinstance(column, Texts) else None for column in part.texts.values())
        alike.setdefault((*part.numbers, *part.texts, *buffers), []).append(part)
    tables = [complete(some, networks) for same in alike.values() for some in _batches(same)]
    ordered = [part for same in alike.values() for part in same]
    if not ordered:
        return Table.empty(), np.zeros(0, np.int64)
    messages = np.concatenate([part.messages for part in ordered])
    table = Table.concatenated(tables)
    positions = np.concatenate([part.positions for part in ordered])
    if _ascend(messages, positions):
        return table, messages
    order = np.lexsort((positions, messages))
    return Table.sound(table.frame[order]), messages[order]


def _weighed(table: Table, sources: Int64Array, messages: Sequence[Message]) -> Table:
    """Let the records of sampled messages stand for as many as their header says."""
    sampled = with_header(messages, SAMPLING_HEADER)
    if not sampled:
        return table
    weights = np.ones(len(messages), np.uint32)
    weights[sampled] = [_weight(messages[each].headers[SAMPLING_HEADER]) for each in sampled]
    return Table.sound(table.frame.with_columns(pl.Series("weight", weights[sources])))


def _weight(stated: bytes) -> int:
    """Read a weight; nonsense is none.

    >>> _weight(b"10"), _weight(b""), _weight(b"0"), _weight(b"many"), _weight(b"9" * 20)
    (10, 1, 1, 1, 1)
    """
    weight = int(stated) if stated.isdigit() and len(stated) <= _WEIGHT_DIGITS else 1
    return max(weight, 1)


def _batches(parts: Sequence[Checked]) -> Iterator[list[Checked]]:
    """Put neighbouring parts together, up to as many rows as the processor's cache likes."""
    batch: list[Checked] = []
    rows = 0
    for part in parts:
        if batch and rows + len(part.messages) > _BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(part)
        rows += len(part.messages)
    if batch:
        yield batch


def _ascend(messages: Int64Array, positions: Int64Array) -> bool:
    later, same = messages[1:] > messages[:-1], messages[1:] == messages[:-1]
    return bool((later | (same & (positions[1:] > positions[:-1]))).all())
