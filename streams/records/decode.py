"""From messages to the record table: find the dialect, read, check, and say whose addresses they are."""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Final

import numpy as np
import polars as pl

from detectors import addresses
from detectors.addresses import LOCAL_NETWORKS, PRIVATE_NETWORKS, NetworkSet, host_key, scope_salt
from detectors.table import ACTIONS, DIRECTIONS, LOG_STATUSES, OPTIONAL, SCHEMA, Table
from streams.records.aws_text import AwsText
from streams.records.contract import DIALECT_HEADER, REFUSED, Decoded, Dialect, Message
from streams.records.settings import NetworkSettings, RecordSettings

_EARLIEST: Final = 946_684_800
"""2000-01-01: no cloud kept flow logs before."""

_NUMBERS: Final = (
    ("srcport", "source_port", 65_535),
    ("dstport", "destination_port", 65_535),
    ("protocol", "protocol", 255),
    ("packets", "packets", 2**63 - 1),
    ("bytes", "bytes", 2**63 - 1),
    ("start", "start", 2**33),
    ("end", "end", 2**33),
    ("tcp_flags", "tcp_flags", 255),
)
"""Name of the field, name of the column, highest value."""

_NEEDED: Final = ("srcport", "dstport", "protocol", "packets", "bytes")


@cache
def dialects() -> tuple[Dialect, ...]:
    """Return every dialect there is, in the order in which they are asked."""
    return (AwsText(),)


def decode(message: Message, records: RecordSettings, networks: NetworkSettings) -> Decoded:
    """Decode one message.

    Examples
    --------
    >>> line = b"2 123456789010 eni-1 192.0.2.1 10.0.0.5 40000 22 6 3 180 1700000000 1700000050 REJECT OK"
    >>> decoded = decode(Message(line + b"\\nnonsense"), RecordSettings(), NetworkSettings())
    >>> decoded.table.frame["destination_port"].to_list(), decoded.refused["reason"].to_list()
    ([22], ['wrong field count: 1 instead of 14'])
    """
    return decode_all([message], records, networks)


def decode_all(messages: Sequence[Message], records: RecordSettings, networks: NetworkSettings) -> Decoded:
    """Decode messages at one go: the same as each on its own, one below the other."""
    tables: list[Table] = []
    refusals: list[pl.DataFrame] = []
    rows = np.zeros(len(messages), np.int64)
    sorted_out = [_sort_out(message, records) for message in messages]
    begin = 0
    for key, group in groupby(sorted_out):
        end = begin + len(list(group))
        if key is None:
            refusals.append(_unknown(messages[begin:end], begin))
        else:
            name, layout = key
            read = _named(name).read(messages[begin:end], layout, records)
            timestamps = np.array([message.timestamp or 0 for message in messages[begin:end]], np.int64)
            table, source, refused = _check(read.frame, timestamps, records, networks)
            rows[begin:end] = np.bincount(source, minlength=end - begin)
            tables.append(table)
            refusals += [each.with_columns(pl.col("message") + begin) for each in (read.refused, refused)]
        begin = end
    refused = pl.concat(refusals).cast(REFUSED) if refusals else pl.DataFrame(schema=REFUSED)
    return Decoded(Table.concatenated(tables), refused.sort("message", "line"), rows)


def _sort_out(message: Message, records: RecordSettings) -> tuple[str, str] | None:
    stated = message.headers.get(DIALECT_HEADER)
    for dialect in dialects():
        if dialect.name.encode() == stated or (stated is None and dialect.recognises(message, records)):
            return dialect.name, dialect.layout(message, records)
    return None


def _named(name: str) -> Dialect:
    return next(dialect for dialect in dialects() if dialect.name == name)


def _unknown(messages: Sequence[Message], begin: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "message": range(begin, begin + len(messages)),
            "line": [1] * len(messages),
            "reason": ["not written in any known dialect"] * len(messages),
            "raw": [message.value for message in messages],
        },
        schema=REFUSED,
    )


def _check(
    frame: pl.DataFrame, timestamps: "np.typing.NDArray[np.int64]", records: RecordSettings, networks: NetworkSettings
) -> tuple[Table, "np.typing.NDArray[np.uint32]", pl.DataFrame]:
    """Type the columns of a frame, refuse the rows that make no sense, and complete the rest.

    Returns
    -------
    tuple
        The table, the index of the message that each of its rows came from, and the refused rows.
    """
    typed = _typed(frame)
    written = timestamps[typed["message"].to_numpy()] // 1000
    latest = pl.Series("latest", np.where(written > 0, written + records.future_tolerance_seconds, 2**33))
    reasons = _reasons(frame, typed.with_columns(latest))
    refused_rows = reasons.is_not_null()
    refused = frame.filter(refused_rows).select(
        "message", "line", reason=reasons.filter(refused_rows), raw=pl.col("raw").cast(pl.Binary)
    )
    accepted = typed.filter(~refused_rows)
    return _complete(accepted, networks), accepted["message"].to_numpy(), refused


def _field(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Expr:
    if name not in frame.columns:
        return pl.lit(None, dtype)
    return pl.col(name).cast(dtype, strict=False)


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    source_high, source_low = _addresses(frame, "srcaddr")
    destination_high, destination_low = _addresses(frame, "dstaddr")
    optional = [name for name in OPTIONAL.names() if name in frame.columns]
    return frame.select(
        "message",
        source_high=source_high,
        source_low=source_low,
        destination_high=destination_high,
        destination_low=destination_low,
        **{column: _field(frame, name, SCHEMA[column]) for name, column, _ in _NUMBERS},
        action=_field(frame, "action", ACTIONS),
        log_status=_field(frame, "log_status", LOG_STATUSES)
        if "log_status" in frame.columns
        else pl.lit("OK", LOG_STATUSES),
        direction=_field(frame, "flow_direction", DIRECTIONS),
        account_id=_field(frame, "account_id", pl.String()),
        vpc_id=_field(frame, "vpc_id", pl.String()),
        interface_id=_field(frame, "interface_id", pl.String()),
        **{name: _field(frame, name, OPTIONAL[name]) for name in optional},
    )


def _addresses(frame: pl.DataFrame, name: str) -> tuple[pl.Series, pl.Series]:
    if name not in frame.columns:
        missing = pl.Series(name, [None], dtype=pl.UInt64).new_from_index(0, frame.height)
        return missing, missing
    return addresses.parse(frame[name])


def _reasons(frame: pl.DataFrame, typed: pl.DataFrame) -> pl.Series:
    """Say why each row is refused; null where it is not."""
    written = {
        name: (pl.col(f"written_{name}") if name in frame.columns else pl.lit(None, pl.String))
        for name in (
            "srcaddr",
            "dstaddr",
            "action",
            "log_status",
            "flow_direction",
            *(field for field, _, _ in _NUMBERS),
        )
    }
    both = typed.with_columns(
        frame.get_column(name).alias(f"written_{name}") for name in written if name in frame.columns
    )
    flow = pl.col("log_status") == "OK"
    checks: list[tuple[pl.Expr, pl.Expr]] = [
        (
            pl.col("log_status").is_null(),
            pl.format("log-status {} is not OK, NODATA or SKIPDATA", written["log_status"].fill_null("-")),
        ),
    ]
    for name, column in (("srcaddr", "source_low"), ("dstaddr", "destination_low")):
        checks.append(
            (
                flow & pl.col(column).is_null(),
                pl.format("{} {} is not an address", pl.lit(name), written[name].fill_null("-")),
            )
        )
    for name, column, highest in _NUMBERS:
        label = pl.lit(name.replace("_", "-"))
        text = written[name].cast(pl.String)
        needed = (flow & pl.col(column).is_null()) if name in _NEEDED else pl.lit(value=False)
        if name in {"start", "end"}:
            needed = pl.col(column).is_null()
        unreadable = text.is_not_null() & pl.col(column).is_null()
        checks.append(
            (
                unreadable | needed,
                pl.format("{} {} is not a number from 0 to {}", label, text.fill_null("-"), pl.lit(highest)),
            )
        )
        checks.append((pl.col(column) < 0, pl.format("{} {} is negative", label, text)))
    checks += [
        (
            flow & pl.col("action").is_null(),
            pl.format("action {} is not ACCEPT or REJECT", written["action"].fill_null("-")),
        ),
        (
            written["flow_direction"].is_not_null() & pl.col("direction").is_null(),
            pl.format("flow-direction {} is not ingress or egress", written["flow_direction"]),
        ),
        (pl.col("end") < pl.col("start"), pl.format("end {} before start {}", "end", "start")),
        (pl.col("start") < _EARLIEST, pl.format("impossible time: start {} is before the year 2000", "start")),
        (pl.col("end") > pl.col("latest"), pl.format("impossible time: end {} is after its message", "end")),
    ]
    reason = pl.lit(None, pl.String)
    for failed, message in reversed(checks):
        reason = pl.when(failed).then(message).otherwise(reason)
    return both.select(reason=reason)["reason"]


_PRIVATE: Final = NetworkSet((*PRIVATE_NETWORKS, *LOCAL_NETWORKS))


@cache
def _internal(networks: tuple[str, ...]) -> NetworkSet:
    return NetworkSet(networks)


def _complete(frame: pl.DataFrame, networks: NetworkSettings) -> Table:
    """Add what follows from the addresses: scope, key, and whether they are one's own."""
    reporter = frame.select(scope=pl.coalesce("vpc_id", "account_id", pl.lit("")))["scope"]
    added: dict[str, pl.Series | pl.Expr] = {"weight": pl.lit(1, pl.UInt32)}
    flow = (frame["log_status"] == "OK").to_numpy()
    for end in ("source", "destination"):
        high = frame[f"{end}_high"].fill_null(0).to_numpy()
        low = frame[f"{end}_low"].fill_null(0).to_numpy()
        scope = _scope(frame, high, low, reporter, networks)
        salts = scope.unique()
        salt = scope.replace_strict(
            salts, pl.Series([scope_salt(name) for name in salts], dtype=pl.UInt64), return_dtype=pl.UInt64
        )
        key = pl.Series(host_key(salt.to_numpy(), high, low), dtype=pl.UInt64)
        added[f"{end}_scope"] = scope
        added[f"{end}_key"] = pl.DataFrame({"key": key, "flow": flow}).select(pl.when("flow").then("key"))["key"]
        added[f"{end}_internal"] = pl.Series(_internal(networks.internal).contains(high, low), dtype=pl.Boolean)
    return Table(
        frame.with_columns(**added).select(
            *SCHEMA.names(), *(name for name in OPTIONAL.names() if name in frame.columns)
        )
    )


def _scope(
    frame: pl.DataFrame,
    high: addresses.UInt64Array,
    low: addresses.UInt64Array,
    reporter: pl.Series,
    networks: NetworkSettings,
) -> pl.Series:
    private = pl.Series("private", _PRIVATE.contains(high, low))
    scope = pl.col("reporter")
    columns = frame.select("vpc_id", "account_id").with_columns(private, reporter.alias("reporter"))
    for index, each in reversed(list(enumerate(networks.scopes))):
        matches = [pl.lit(value=True)]
        if each.cidr is not None:
            columns = columns.with_columns(pl.Series(f"cidr_{index}", NetworkSet([each.cidr]).contains(high, low)))
            matches.append(pl.col(f"cidr_{index}"))
        if each.vpc_id is not None:
            matches.append(pl.col("vpc_id").eq_missing(pl.lit(each.vpc_id)))
        if each.account_id is not None:
            matches.append(pl.col("account_id").eq_missing(pl.lit(each.account_id)))
        scope = pl.when(pl.all_horizontal(matches)).then(pl.lit(each.name)).otherwise(scope)
    return columns.select(scope=pl.when("private").then(scope).otherwise(pl.lit("")))["scope"]
