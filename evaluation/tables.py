"""The figures as tables: on the terminal, and in the documentation."""

from collections.abc import Mapping, Sequence
from typing import Any

Table = tuple[list[str], list[list[str]]]
Document = Mapping[str, Any]


def cases_table(document: Document) -> Table:
    """Show what was found of each case, and how soon; one column more for each other way of logging."""
    usual, *others = document["cases"]
    elsewhere = {
        name: {(row["kind"], row["speed"], row["name"]): row for row in document["cases"][name]} for name in others
    }
    head = ["kind", "speed", "what", "found", "first word", "confirmed", "findings each", *others]
    rows = [
        [
            row["kind"],
            row["speed"],
            row["name"],
            of(row),
            delay(row["early_delay"]),
            delay(row["confirmed_delay"]),
            f"{row['findings'] / row['found']:.1f}" if row["found"] else "",
            *(of(elsewhere[name].get((row["kind"], row["speed"], row["name"]))) for name in others),
        ]
        for row in sorted(document["cases"][usual], key=_order)
    ]
    return head, rows


def speeds_table(document: Document) -> Table:
    """Show what was found of each kind and speed."""
    rows = [
        [row["kind"], row["speed"], of(row), delay(row["early_delay"]), delay(row["confirmed_delay"])]
        for row in sorted(document["speeds"], key=_order)
    ]
    return ["kind", "speed", "found", "first word", "confirmed"], rows


def kinds_table(document: Document) -> Table:
    """Show how many findings of each kind were right; a kind without any is not there."""
    rows = [
        [row["kind"], str(row["true"]), str(row["side"]), str(row["false"]), percent(row["precision"])]
        for row in document["kinds"]
    ]
    return ["finding", "true", "side", "false", "precision"], rows


def ordinary_table(document: Document) -> Table:
    """Show what was found in traffic without attacks."""
    quiet = document["ordinary"]
    rows = [[row["kind"], row["for"] or "ordinary traffic", str(row["findings"])] for row in quiet["mistaken"]]
    total = f"{quiet['false_per_50_host_days']:.2g} in 50 host-days"
    return ["false finding", "is really", "how many"], [*rows, ["all", f"{quiet['host_days']:g} host-days", total]]


def recorded_table(files: Sequence[Mapping[str, Any]]) -> Table:
    """Show what was found in recorded traffic."""
    rows = [
        [
            row["file"],
            ", ".join(f"{kind} {found}/{there}" for kind, (found, there) in row["found"].items()) or "nothing to find",
            str(row["findings"]),
            str(row["side"]),
            ", ".join(f"{kind} {count}" for kind, count in row["false"].items()) or "0",
            f"{row['host_days']:.3g}",
        ]
        for row in files
    ]
    return ["file", "found", "findings", "side", "false", "host-days"], rows


def of(row: Mapping[str, Any] | None) -> str:
    """Write how many were found.

    >>> of({"found": 2, "attacks": 3}), of(None)
    ('2/3', '')
    """
    return "" if row is None else f"{row['found']}/{row['attacks']}"


def delay(seconds: Sequence[float] | None) -> str:
    """Write the median and the longest of some delays.

    >>> delay([30, 400]), delay([-20, 1500.0]), delay(None)
    ('30 s (7 min)', '-20 s (25 min)', '')
    """
    return "" if seconds is None else f"{_time(seconds[0])} ({_time(seconds[1])})"


def percent(part: float | None) -> str:
    """Write a part.

    >>> percent(0.987), percent(1.0), percent(None)
    ('99 %', '100 %', '')
    """
    return "" if part is None else f"{100 * part:.0f} %"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if abs(seconds) < 180 else f"{seconds / 60:.0f} min"


_SPEEDS = ("fast", "medium", "slow")


def _order(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["kind"], _SPEEDS.index(row["speed"])
