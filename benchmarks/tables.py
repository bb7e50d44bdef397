"""Figures as tables: on the terminal, and in the documentation."""

from collections.abc import Iterable, Sequence
from math import floor, log10

from benchmarks.measurement import Measurement


def table(measurements: Sequence[Measurement]) -> tuple[list[str], list[list[str]]]:
    """Make a head and rows: what, how much, and one column for each contender that others are compared with.

    Examples
    --------
    >>> head, rows = table([Measurement("a", 30, "s", ratios={"b": 3.0}), Measurement("b", 10, "s")])
    >>> head, rows
    (['what', 'median', 'against b'], [['a', '30 s', '3.0 times'], ['b', '10 s', '']])
    """
    others = list(dict.fromkeys(other for each in measurements for other in each.ratios))
    head = ["what", "median", *(f"against {other}" for other in others)]
    return head, [
        [each.name, f"{rounded(each.value)} {each.unit}", *(_ratio(each, other) for other in others)]
        for each in measurements
    ]


def rounded(value: float) -> str:
    """Write a number with two significant digits, or as a whole number with three: no run repeats more of them.

    >>> [rounded(each) for each in (1_234_567, 98.76, 1.449, 0.0123, 0)]
    ['1,230,000', '99', '1.4', '0.012', '0']
    """
    if not value:
        return "0"
    magnitude = floor(log10(abs(value)))
    if magnitude >= 2:
        return f"{round(value, 2 - magnitude):,.0f}"
    return f"{value:.{max(1 - magnitude, 0)}f}"


def aligned(lines: Iterable[Sequence[str]]) -> str:
    """Write lines of cells below each other.

    >>> print(aligned([("a", "b"), ("ccc", "d")]))
    a    b
    ccc  d
    """
    cells = [list(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _ratio(measurement: Measurement, other: str) -> str:
    ratio = measurement.ratios.get(other)
    return "" if ratio is None else f"{rounded(ratio)} times"
