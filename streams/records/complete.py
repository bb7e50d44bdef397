"""From checked rows to the record table: types, scopes, keys, and whose addresses they are."""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, TypeVar, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.addresses import LOCAL_NETWORKS, PRIVATE_NETWORKS, NetworkSet, host_keys, scope_salt
from detectors.table import COLUMNS, Table
from detectors.texts import BoolArray, Int64Array, Texts, UInt64Array
from streams.records.check import Checked
from streams.records.settings import NetworkSettings

Scalar = TypeVar("Scalar", np.uint64, np.bool_, np.int64)

_PRIVATE: Final = NetworkSet((*PRIVATE_NETWORKS, *LOCAL_NETWORKS))
_ENDS: Final = ("source", "destination")
_CONSTANTS: Final[dict[str, str | int]] = {"weight": 1, "log_status": "OK"}
"""What columns hold where nothing else is said."""

_DTYPES: Final = {column.name: column.dtype for column in COLUMNS}
_LABELS: Final = {
    column.name: pl.Series(column.dtype.categories, dtype=column.dtype)
    for column in COLUMNS
    if isinstance(column.dtype, pl.Enum)
}
"""Every label of the columns of labels."""

_NUMPY: Final = {
    column.name: np.dtype(np.uint8) if column.name in _LABELS else pl.Series(dtype=column.dtype).to_numpy().dtype
    for column in COLUMNS
    if column.name in _LABELS or column.dtype.is_integer()
}
"""Types of the columns of numbers and of indices of labels."""


@cache
def _network_set(networks: tuple[str, ...]) -> NetworkSet:
    return NetworkSet(networks)


@cache
def _salt(scope: str) -> int:
    return scope_salt(scope)


def complete(parts: Sequence[Checked], networks: NetworkSettings) -> Table:
    """Build the table of rows that were read from the same columns.

    Parameters
    ----------
    parts
        Checked rows, at least one part, all with the same columns.
    networks
        Whose addresses are whose.
    """
    rows = sum(len(part.messages) for part in parts)
    if rows == 0:
        return Table.empty()
    numbers = {name: _joined([part.numbers[name] for part in parts]) for name in parts[0].numbers}
    missing = _missing(parts)
    for end in _ENDS:
        if f"{end}_low" not in numbers:
            nowhere = {f"{end}_{half}": np.zeros(rows, np.uint64) for half in ("high", "low")}
            numbers |= nowhere
            missing |= dict.fromkeys(nowhere, np.ones(rows, np.bool_))
    columns, constants = _strings(parts, rows)
    true = _true_ends(numbers, missing)
    keys, hosts = _hosts(true, columns, constants, rows, networks)
    flows = _flows(parts)
    if flows is not None:
        missing |= dict.fromkeys(keys, ~flows)
    translated = _translated_outside(numbers, true, hosts)
    if translated.any():
        logged, _ = _hosts(numbers, columns, constants, rows, networks)
        keys["forwarder_key"] = np.where(translated[0], logged["source_key"], logged["destination_key"])
        missing["forwarder_key"] = ~(translated[0] | translated[1])
    columns |= hosts
    columns |= _numbers(numbers | keys)
    for name, absent in missing.items():
        columns[name] = _without(columns[name], absent)
    return Table.sound(
        pl.DataFrame(
            [
                columns[column.name]
                if column.name in columns
                else _constant(column.name, _CONSTANTS.get(column.name), rows)
                for column in COLUMNS
                if column.required or column.name in columns
            ]
        )
    )


def _joined(arrays: "list[npt.NDArray[Scalar]]") -> "npt.NDArray[Scalar]":
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _missing(parts: Sequence[Checked]) -> dict[str, BoolArray]:
    names = {name for part in parts for name in part.missing}
    return {
        name: _joined([part.missing.get(name, np.zeros(len(part.messages), np.bool_)) for part in parts])
        for name in names
    }


def _flows(parts: Sequence[Checked]) -> BoolArray | None:
    if all(part.flows is None for part in parts):
        return None
    return _joined([np.ones(len(part.messages), np.bool_) if part.flows is None else part.flows for part in parts])


@lru_cache(4096)
def _single(name: str, value: str | int | None) -> pl.Series:
    return pl.Series(name, [value], dtype=_DTYPES[name])


def _constant(name: str, value: str | int | None, rows: int) -> pl.Series:
    return _single(name, value).new_from_index(0, rows)


def _numbers(numbers: Mapping[str, UInt64Array]) -> dict[str, pl.Series]:
    """Turn numbers into columns of their types."""
    found: dict[str, pl.Series] = {}
    for name, values in numbers.items():
        dtype = _NUMPY[name]
        typed = values.view(dtype) if values.itemsize == dtype.itemsize else values.astype(dtype)
        found[name] = _labelled(name, pl.Series(name, typed))
    return found


def _labelled(name: str, column: pl.Series) -> pl.Series:
    """Turn indices into labels, where the column holds labels."""
    labels = _LABELS.get(name)
    if labels is None:
        return column
    lowest = column.min()
    if lowest == column.max():
        return _constant(name, labels[cast("int", lowest)], len(column))
    return labels[column].alias(name)


def _without(series: pl.Series, missing: BoolArray) -> pl.Series:
    """Set rows to null."""
    if not missing.any():
        return series
    present = pl.lit(pl.Series(~missing))
    return series.to_frame().select(pl.when(present).then(pl.col(series.name))).to_series()


def _strings(parts: Sequence[Checked], rows: int) -> tuple[dict[str, pl.Series], dict[str, str]]:
    """Turn the columns of text into strings; those in one buffer at one go. Say which are known to hold one text."""
    found: dict[str, pl.Series] = {}
    constants: dict[str, str] = {}
    stretches: dict[str, Texts] = {}
    for name in parts[0].texts:
        columns = [part.texts[name] for part in parts]
        texts = [each for each in columns if isinstance(each, Texts)]
        if len(texts) < len(columns):
            found[name] = pl.concat([each for each in columns if isinstance(each, pl.Series)]).alias(name)
            continue
        joined = Texts(texts[0].buffer, _joined([each.begin for each in texts]), _joined([each.end for each in texts]))
        if joined.constant():
            value = joined[0].decode()
            if value in {"", "-"}:
                found[name] = _constant(name, None, rows)
            else:
                found[name] = _constant(name, value, rows)
                constants[name] = value
        else:
            stretches[name] = joined
    if stretches:
        found |= next(iter(stretches.values())).buffer.strings(stretches)
    for name, stretch in stretches.items():
        missing = stretch.missing()
        if missing is not None:
            found[name] = _without(found[name], missing)
    return found, constants


def _true_ends(numbers: Mapping[str, UInt64Array], missing: Mapping[str, BoolArray]) -> Mapping[str, UInt64Array]:
    """Put the ends inside the packets in place of those outside, where both were logged and are other ones."""
    true = {}
    for end in _ENDS:
        if f"packet_{end}_low" in numbers:
            absent = missing.get(f"packet_{end}_low")
            for half in (f"{end}_high", f"{end}_low"):
                inside = numbers[f"packet_{half}"]
                true[half] = inside if absent is None else np.where(absent, numbers[half], inside)
    return {**numbers, **true}


def _translated_outside(
    numbers: Mapping[str, UInt64Array], true: Mapping[str, UInt64Array], hosts: Mapping[str, pl.Series]
) -> BoolArray:
    """Say of both ends of each row, shape (2, rows), whether somebody forwards for an end that is not one's own."""
    other = [
        (true[f"{end}_low"] != numbers[f"{end}_low"]) | (true[f"{end}_high"] != numbers[f"{end}_high"]) for end in _ENDS
    ]
    outside = [~hosts[f"{end}_internal"].to_numpy() for end in _ENDS]
    found: BoolArray = np.array(other) & np.array(outside)
    return found


def _hosts(
    numbers: Mapping[str, UInt64Array],
    columns: Mapping[str, pl.Series],
    constants: Mapping[str, str],
    rows: int,
    networks: NetworkSettings,
) -> tuple[dict[str, UInt64Array], dict[str, pl.Series]]:
    """Say of both true ends of each row their keys, which scope they are in, and whether they are one's own."""
    high = np.concatenate([numbers[f"{end}_high"] for end in _ENDS])
    low = np.concatenate([numbers[f"{end}_low"] for end in _ENDS])
    names, codes = _scopes(high, low, columns, constants, networks)
    keys = host_keys(np.array([_salt(name) for name in names], np.uint64), codes, high, low)
    internal = pl.Series(_network_set(networks.internal).contains(high, low))
    scopes = pl.Series(names, dtype=pl.String)[pl.Series(codes.astype(np.uint32))]
    found: dict[str, pl.Series] = {}
    for begin, end in zip((0, rows), _ENDS, strict=True):
        found[f"{end}_scope"] = scopes.slice(begin, rows).alias(f"{end}_scope")
        found[f"{end}_internal"] = internal.slice(begin, rows).alias(f"{end}_internal")
    return {"source_key": keys[:rows], "destination_key": keys[rows:]}, found


def _scopes(
    high: UInt64Array,
    low: UInt64Array,
    columns: Mapping[str, pl.Series],
    constants: Mapping[str, str],
    networks: NetworkSettings,
) -> tuple[list[str], Int64Array]:
    """Return the names of scopes, the public one first, and for each address, sources first, which is its."""
    private = _PRIVATE.contains(high, low)
    names, reporters = _reporters(columns, constants)
    codes = private.astype(np.int64)
    if reporters is not None:
        codes *= np.concatenate([reporters, reporters])
    for each in reversed(networks.scopes):
        matches = private if each.cidr is None else private & _network_set((each.cidr,)).contains(high, low)
        for column, value in (("vpc_id", each.vpc_id), ("account_id", each.account_id)):
            if value is not None:
                same = _equal(columns.get(column), value, len(high) // 2)
                matches = matches & np.concatenate([same, same])
        codes[matches] = len(names)
        names.append(each.name)
    return names, codes


def _equal(column: pl.Series | None, value: str, rows: int) -> BoolArray:
    return np.zeros(rows, np.bool_) if column is None else column.eq_missing(value).to_numpy()


def _reporters(columns: Mapping[str, pl.Series], constants: Mapping[str, str]) -> tuple[list[str], Int64Array | None]:
    """Return the reporters' own scopes behind the public one, and which each row has; None: all the only one."""
    names = [name for name in ("vpc_id", "account_id") if name in columns]
    if not names:
        return ["", ""], None
    if names[0] in constants:
        return ["", constants[names[0]]], None
    known = [columns[name] for name in names]
    scope = known[0]
    if scope.null_count() and len(known) > 1:
        scope = scope.zip_with(scope.is_not_null(), known[1])
    if scope.null_count():
        scope = scope.fill_null("")
    if (scope == scope[0]).all():
        return ["", scope[0]], None
    distinct = scope.unique(maintain_order=True)
    codes = scope.replace_strict(distinct, pl.Series(np.arange(1, len(distinct) + 1)), return_dtype=pl.Int64)
    return ["", *distinct], codes.to_numpy()
