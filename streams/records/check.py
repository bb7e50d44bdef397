"""Typing what was read, and refusing the rows that make no sense, each with its reason."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from detectors import written_addresses, written_numbers
from detectors.repeated_texts import RepeatedTexts
from detectors.texts import BoolArray, Int64Array, Texts, UInt64Array
from streams.records.contract import Column, Read, Refusal
from streams.records.fields import ADDRESSES, ALWAYS_NEEDED, LABELS, NEEDED, NUMBERS, TEXTS, written
from streams.records.refused import Refused

EARLIEST: Final = 946_684_800
"""2000-01-01: no cloud kept flow logs before."""

_SHOWN: Final = 60
"""Characters of a value that a reason quotes."""

_SHORT_NUMBER: Final = 8
"""Numbers of up to so many characters are read in one way, and longer ones in another."""

Reasons = Callable[[Int64Array], list[str]]
"""Says why each of some rows is refused."""


@dataclass(slots=True)
class Checked:
    """The accepted rows of a `Read`, by columns of the record table, and the refused ones.

    Attributes
    ----------
    messages, positions
        Index of the message that each accepted row came from, and its position in it.
    kept
        Which of the rows that were read are accepted.
    numbers
        Numbers, halves of addresses and indices of labels, by column.
    missing
        Where numbers of a column are missing; columns without any are left out.
    texts
        Columns of any text.
    flows
        Which rows tell of flows; None where all do.
    refused
        Refused lines.
    """

    messages: Int64Array
    positions: Int64Array
    kept: BoolArray
    numbers: dict[str, UInt64Array] = field(default_factory=dict)
    missing: dict[str, BoolArray] = field(default_factory=dict)
    texts: dict[str, Texts | pl.Series] = field(default_factory=dict)
    flows: BoolArray | None = None
    refused: Sequence[Refusal] = ()


class _Failures:
    """What is wrong with which rows; the first thing found is the reason."""

    def __init__(self, rows: int) -> None:
        self._found: list[tuple[BoolArray, Reasons]] = []
        self.rows = np.zeros(rows, np.bool_)

    def add(self, wrong: BoolArray, reasons: Reasons) -> None:
        """Refuse rows."""
        if wrong.any():
            self._found.append((wrong & ~self.rows, reasons))
            self.rows |= wrong

    def refused(self, read: Read) -> Refused:
        """Say why each refused row is."""
        rows = [np.flatnonzero(wrong) for wrong, _ in self._found]
        because = [reason for some, (_, reasons) in zip(rows, self._found, strict=True) for reason in reasons(some)]
        return Refused(read.places(np.concatenate(rows)), because)


def check(read: Read, latest: Int64Array | None = None, needed: Sequence[str] = NEEDED) -> Checked:
    """Check rows that were read.

    Parameters
    ----------
    read
        The rows.
    latest
        The latest time that each row may end at, epoch seconds; None for no limit.
    needed
        Fields without which the row of a flow is refused.
    """
    columns = {name: _readable(name, column) for name, column in read.columns.items()}
    failures = _Failures(len(read.messages))
    checked = Checked(read.messages, read.positions, failures.rows)
    _labels(columns, checked, failures)
    _addresses(columns, checked, failures)
    _numbers(columns, checked, failures)
    _completeness(columns, checked, failures, needed)
    _times(checked, failures, latest)
    checked.texts = {TEXTS[name]: _present(column) for name, column in columns.items() if name in TEXTS}
    checked.kept = ~failures.rows
    if failures.rows.any():
        checked.refused = failures.refused(read)
        _keep(checked, checked.kept)
    return checked


def _readable(name: str, column: Column) -> Column:
    """Turn strings into texts where their field holds numbers or addresses, and anything else into strings."""
    if isinstance(column, RepeatedTexts):
        return Texts.of(column.strings()) if name in NUMBERS else column
    if isinstance(column, Texts) or name in TEXTS or (name in NUMBERS and column.dtype.is_integer()):
        return column
    strings = column if column.dtype == pl.String else column.cast(pl.String)
    return Texts.of(strings) if name in NUMBERS or name in ADDRESSES else strings


def _shown(column: Column, rows: Int64Array) -> list[str]:
    if isinstance(column, Texts):
        begin = column.begin[rows]
        shown = Texts(column.buffer, begin, np.minimum(column.end[rows], begin + 4 * _SHOWN))
        texts = [text.decode("utf-8", "backslashreplace") for text in shown.parts()]
    else:
        some = column.gather(rows) if isinstance(column, pl.Series) else column.at(rows).strings()
        texts = [str(value) for value in some]
    return [text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..." for text in texts]


def _labels(columns: Mapping[str, Column], checked: Checked, failures: _Failures) -> None:
    for name, (target, words) in LABELS.items():
        column = columns.get(name)
        if column is None:
            continue
        if target == "log_status" and not isinstance(column, Texts):
            # An object without the key, or with null under it, says nothing about coverage.
            column = column.fill_null("OK")
        codes, known = _among(column, words)
        checked.numbers[target] = codes
        if target == "log_status" and codes.any():
            checked.flows = codes == 0
        if known is None:
            continue
        absent = _absent_rows(column)
        wrong = ~(known | absent)
        if target == "log_status":
            wrong |= absent
        else:
            checked.missing[target] = ~known
        failures.add(wrong, _not_one_of(name, column, words))


def _not_one_of(name: str, column: Column, words: Sequence[str]) -> Reasons:
    allowed = f"{', '.join(words[:-1])} or {words[-1]}"
    return lambda rows: [f"{written(name)} {text} is not {allowed}" for text in _shown(column, rows)]


def _among(column: Column, words: Sequence[str]) -> tuple[UInt64Array, BoolArray | None]:
    """Do for any column what `Texts.among` does."""
    if isinstance(column, Texts):
        return column.among(words)
    if isinstance(column, RepeatedTexts):
        codes, known = _among(column.distinct.strings, words)
        return codes.take(column.codes), None if known is None else known.take(column.codes)
    codes, known = np.zeros(len(column), np.uint64), np.zeros(len(column), np.bool_)
    for code, word in enumerate(words):
        same = column.eq_missing(word).to_numpy()
        known |= same
        if code:
            codes += same.view(np.uint8) * np.uint64(code)
        if known.all():
            return codes, None
    return codes, known


def _absent_rows(column: Column) -> BoolArray:
    if isinstance(column, RepeatedTexts):
        return _absent_rows(column.distinct.strings).take(column.codes)
    if isinstance(column, pl.Series):
        return column.fill_null("").is_in(["", "-"]).to_numpy()
    absent = column.missing()
    return np.zeros(len(column.begin), np.bool_) if absent is None else absent


def _present(column: Column) -> Texts | pl.Series:
    """Turn strings that stand for missing values into missing ones."""
    if isinstance(column, pl.Series):
        return column.replace(["", "-"], None) if _absent_rows(column).any() else column
    return column.strings() if isinstance(column, RepeatedTexts) else column


def _addresses(columns: Mapping[str, Column], checked: Checked, failures: _Failures) -> None:
    found = {name: column for name in ADDRESSES if isinstance(column := columns.get(name), Texts)}
    for same_buffer in _by_buffer(found):
        texts = Texts(
            same_buffer[0][1].buffer,
            np.concatenate([each.begin for _, each in same_buffer]),
            np.concatenate([each.end for _, each in same_buffer]),
        )
        rows = len(failures.rows)
        read = written_addresses.read(texts)
        for index, (name, column) in enumerate(same_buffer):
            part = slice(index * rows, (index + 1) * rows)
            _read_addresses(name, column, (read[0][part], read[1][part], read[2][part]), checked, failures)
    for name in ADDRESSES:
        repeated = columns.get(name)
        if isinstance(repeated, RepeatedTexts):
            _read_addresses(name, repeated, repeated.addresses(), checked, failures)


def _read_addresses(
    name: str,
    column: Column,
    read: tuple[UInt64Array, UInt64Array, BoolArray],
    checked: Checked,
    failures: _Failures,
) -> None:
    high, low, readable = read
    checked.numbers[f"{ADDRESSES[name]}_high"] = high
    checked.numbers[f"{ADDRESSES[name]}_low"] = low
    if readable.all():
        return
    absent = _absent_rows(column)
    if absent.any():
        checked.missing[f"{ADDRESSES[name]}_high"] = absent
        checked.missing[f"{ADDRESSES[name]}_low"] = absent
    failures.add(~(readable | absent), _not_an_address(name, column))


def _not_an_address(name: str, column: Column) -> Reasons:
    return lambda rows: [f"{written(name)} {text} is not an address" for text in _shown(column, rows)]


def _by_buffer(found: Mapping[str, Texts]) -> list[list[tuple[str, Texts]]]:
    groups: dict[int, list[tuple[str, Texts]]] = {}
    for name, texts in found.items():
        groups.setdefault(id(texts.buffer), []).append((name, texts))
    return list(groups.values())


def _numbers(columns: Mapping[str, Column], checked: Checked, failures: _Failures) -> None:
    found = {name: column for name in NUMBERS if isinstance(column := columns.get(name), Texts)}
    read = {
        name: numbers
        for same_buffer in _by_buffer(found)
        for some in _together(same_buffer, len(failures.rows))
        for name, numbers in _read_numbers(some, len(failures.rows))
    }
    # In the order of the fields, for the first thing that is wrong with a row is the reason.
    for name in NUMBERS:
        column = columns.get(name)
        if isinstance(column, Texts):
            values, fits = read[name]
            checked.numbers[NUMBERS[name].column] = values
            if fits is not None:
                _unfit_numbers(name, column, fits, _absent_rows(column), checked=checked, failures=failures)
        elif isinstance(column, pl.Series):
            _typed_numbers(name, column, checked, failures)


def _together(columns: list[tuple[str, Texts]], rows: int) -> Iterator[list[tuple[str, Texts]]]:
    """Put columns together that are read at one go: where rows are few, each operation costs more than what it does."""
    most = written_numbers.BLOCK // max(rows, 1)
    if most < 2:
        yield from ([each] for each in columns)
        return
    longest = np.array([texts.end - texts.begin for _, texts in columns]).max(axis=1, initial=0)
    short = longest <= _SHORT_NUMBER
    for alike in (np.flatnonzero(short).tolist(), np.flatnonzero(~short).tolist()):
        for at in range(0, len(alike), most):
            yield [columns[index] for index in alike[at : at + most]]


def _read_numbers(
    columns: list[tuple[str, Texts]], rows: int
) -> Iterator[tuple[str, tuple[UInt64Array, BoolArray | None]]]:
    """Read columns in one buffer, and say of each which of its numbers its field may hold; None where it may all."""
    _, first = columns[0]
    if len(columns) == 1:
        begin, end = first.begin, first.end
    else:
        begin = np.concatenate([texts.begin for _, texts in columns])
        end = np.concatenate([texts.end for _, texts in columns])
    shape = len(columns), rows
    read, readable = written_numbers.read(first.buffer, begin, end)
    values = read.reshape(shape)
    highest = values.max(axis=1, initial=0).tolist()
    for index, (name, _) in enumerate(columns):
        if readable is None and highest[index] <= NUMBERS[name].highest:
            yield name, (values[index], None)
            continue
        fits = values[index] <= NUMBERS[name].highest
        if readable is not None:
            fits &= readable.reshape(shape)[index]
        yield name, (values[index], None if fits.all() else fits)


def _typed_numbers(name: str, series: pl.Series, checked: Checked, failures: _Failures) -> None:
    absent = series.is_null().to_numpy() if series.null_count() else None
    filled = series.fill_null(0) if absent is not None else series
    checked.numbers[NUMBERS[name].column] = filled.to_numpy().astype(np.uint64)
    lowest, highest = filled.min(), filled.max()
    fit = lowest is None or (int(lowest) >= 0 and int(highest) <= NUMBERS[name].highest)  # type: ignore[arg-type]  # integers
    if not fit or absent is not None:
        fits = filled.is_between(0, NUMBERS[name].highest).to_numpy()
        absent = np.zeros(len(series), np.bool_) if absent is None else absent
        _unfit_numbers(name, series, fits & ~absent, absent, checked=checked, failures=failures)


def _unfit_numbers(
    name: str, column: Column, fits: BoolArray, absent: BoolArray, *, checked: Checked, failures: _Failures
) -> None:
    if absent.any():
        checked.missing[NUMBERS[name].column] = absent

    label, range_ = written(name), f"is not a number from 0 to {NUMBERS[name].highest}"

    def reasons(rows: Int64Array) -> list[str]:
        return [
            f"{label} {text} is negative" if text[:1] == "-" and text[1:].isdigit() else f"{label} {text} {range_}"
            for text in _shown(column, rows)
        ]

    failures.add(~(fits | absent), reasons)


def _completeness(
    columns: Mapping[str, Column], checked: Checked, failures: _Failures, needed: Collection[str]
) -> None:
    for name in needed:
        rows = None if name in ALWAYS_NEEDED else checked.flows
        if name not in columns:
            absent = np.ones(len(failures.rows), np.bool_)
            if rows is not None:
                absent &= rows
            failures.add(absent, _lacking(name))
            continue
        missing = checked.missing.get(_column(name))
        if missing is not None:
            failures.add(missing if rows is None else missing & rows, _absent(name))


def _column(name: str) -> str:
    if name in ADDRESSES:
        return f"{ADDRESSES[name]}_low"
    return LABELS[name][0] if name in LABELS else NUMBERS[name].column


def _lacking(name: str) -> Reasons:
    return lambda rows: [f"there is no field {written(name)}"] * len(rows)


def _absent(name: str) -> Reasons:
    return lambda rows: [f"{written(name)} is missing"] * len(rows)


def _times(checked: Checked, failures: _Failures, latest: Int64Array | None) -> None:
    start, end = checked.numbers.get("start"), checked.numbers.get("end")
    if start is None or end is None:
        return
    known = np.ones(len(start), np.bool_)
    for name in ("start", "end"):
        if name in checked.missing:
            known &= ~checked.missing[name]
    failures.add(
        known & (end < start),
        lambda rows: [
            f"end {last} before start {first}"
            for last, first in zip(end[rows].tolist(), start[rows].tolist(), strict=True)
        ],
    )
    failures.add(
        known & (start < EARLIEST),
        lambda rows: [f"impossible time: start {time} is before the year 2000" for time in start[rows].tolist()],
    )
    if latest is not None:
        failures.add(
            known & (end > latest.view(np.uint64)),
            lambda rows: [f"impossible time: end {time} is after its message" for time in end[rows].tolist()],
        )


def _keep(checked: Checked, kept: BoolArray) -> None:
    rows = np.flatnonzero(kept)
    checked.messages, checked.positions = checked.messages[rows], checked.positions[rows]
    checked.numbers = {name: values.take(rows) for name, values in checked.numbers.items()}
    checked.missing = {name: missing.take(rows) for name, missing in checked.missing.items()}
    checked.texts = {
        name: column.at(rows) if isinstance(column, Texts) else column.filter(kept)
        for name, column in checked.texts.items()
    }
    if checked.flows is not None:
        checked.flows = checked.flows[rows]
