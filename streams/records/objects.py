"""Records as JSON objects under AWS's names of the fields, for people and programs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from detectors.repeated_texts import RepeatedTexts
from detectors.texts import BoolArray, Texts
from streams.records.aws_text import counts
from streams.records.check import Checked, check
from streams.records.contract import Column, Message, Read, Refusal
from streams.records.decode import sort_out
from streams.records.fields import LOSSES, NEEDED, NUMBERS, written
from streams.records.settings import RecordSettings


class Written(NamedTuple):
    """Records as lines of JSON, how many rows, and what was refused."""

    lines: bytes
    rows: int
    refused: list[Refusal]


def write(message: Message, records: RecordSettings) -> Written:
    r"""Write the records of a message; unlike `decode`, leave out no field, and ask for none that the format lacks.

    Examples
    --------
    >>> line = b"srcaddr dstaddr srcport\n192.0.2.1 - 443"
    >>> write(Message(line), RecordSettings()).refused[0].reason
    'dstaddr is missing'
    """
    groups, refused = sort_out([message], records)
    return write_reads(
        [read for group in groups for read in group.dialect.read(group.messages, group.layout, records)], refused
    )


def write_reads(reads: Sequence[Read], refused: Sequence[Refusal] = ()) -> Written:
    """Write rows that were read, in their order."""
    refusals = list(refused)
    frames: list[tuple[pl.DataFrame, Checked]] = []
    for read in reads:
        needed = tuple(name for name in NEEDED if name in read.columns)
        checked = check(read, needed=needed)
        refusals += [*read.refused, *checked.refused]
        if len(checked.messages):
            kept = read if checked.kept.all() else read.at(np.flatnonzero(checked.kept))
            frames.append((_frame(kept, checked), checked))
    refusals.sort(key=lambda refusal: refusal.place.line)
    count = sum(frame.height for frame, _ in frames)
    if len(frames) <= 1:
        return Written(frames[0][0].write_ndjson().encode() if frames else b"", count, refusals)
    lines = [line for frame, _ in frames for line in frame.write_ndjson().encode().splitlines(keepends=True)]
    order = np.argsort(np.concatenate([checked.positions for _, checked in frames]), kind="stable")
    return Written(b"".join([lines[index] for index in order.tolist()]), count, refusals)


def _frame(read: Read, checked: Checked) -> pl.DataFrame:
    texts = {name: column for name, column in read.columns.items() if isinstance(column, Texts) and name not in NUMBERS}
    strings = next(iter(texts.values())).buffer.strings(texts) if texts else {}
    columns = [_column(name, column, strings, checked) for name, column in read.columns.items()]
    return pl.DataFrame(columns)


def _column(name: str, column: Column, strings: dict[str, pl.Series], checked: Checked) -> pl.Series:
    if name in NUMBERS:
        target = NUMBERS[name].column
        series = pl.Series(checked.numbers[target].astype(np.int64))
        missing = checked.missing.get(target)
    elif name in LOSSES:
        values, readable = counts(column)
        series, missing = pl.Series(values.astype(np.int64)), ~readable
    elif isinstance(column, Texts):
        series, missing = strings[name], column.missing()
    elif isinstance(column, RepeatedTexts):
        series, missing = column.strings(), None
    else:
        series, missing = column, None
        if column.dtype == pl.String:
            missing = column.is_in(["", "-"]).fill_null(value=False).to_numpy()
    return _without(series.alias(written(name)), missing)


def _without(series: pl.Series, missing: BoolArray | None) -> pl.Series:
    if missing is None or not missing.any():
        return series
    return series.to_frame().select(pl.when(pl.lit(pl.Series(~missing))).then(pl.col(series.name))).to_series()
