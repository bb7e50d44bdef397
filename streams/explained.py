"""An explanation of a finding, written for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from detectors.finding import Finding
from detectors.statistics.contacts import PANE_SECONDS
from streams.explain import Explanation, Other, PaneFigures, ParameterInForce
from streams.sinks.terminal import STYLES

_TIMES: Final = ("first_seen", "last_seen")
_KNOWN: Final = ("source_internal", "target_internal")
"""What the direction of a finding tells."""

_BAR: Final = 8
"""Characters of a bar that lies at its threshold or above."""

_DAY: Final = 86_400


def show(explanation: Explanation, console: Console) -> None:
    """Print an explanation; what is no terminal gets no spaces at the ends of lines."""
    if not console.is_terminal:
        with console.capture() as capture:
            _print(explanation, console)
        lines = (line.rstrip() for line in capture.get().splitlines())
        console.print(Text("\n".join(lines)), soft_wrap=True)
        return
    _print(explanation, console)


def _print(explanation: Explanation, console: Console) -> None:
    (first, _), *_ = sections = list(_sections(explanation))
    for title, body in sections:
        if title != first:
            console.print()
        console.print(Text(title, style="bold"))
        console.print(Padding(body, (0, 0, 0, 2)))


def number(value: float | None) -> str:
    """Write a figure briefly, and whole numbers whole.

    >>> number(15.0), number(1234.0), number(1234567.0), number(2.345), number(0.04567), number(None)
    ('15', '1,234', '1.23 M', '2.35', '0.0457', '-')
    """
    if value is None:
        return "-"
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}" if abs(value) < 1000 * size else f"{value / size:,.0f} {unit}"
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _sections(explanation: Explanation) -> Iterator[tuple[str, RenderableType]]:
    finding = explanation.finding
    state = "provisional" if finding.provisional else finding.status
    yield (
        f"{finding.kind} {finding.id}",
        Group(
            Text.assemble((finding.severity, STYLES[finding.severity]), f", {state}: ", finding.summary),
            Text(f"value {number(finding.value)}, threshold {number(finding.threshold)}, score {finding.score:g}"),
        ),
    )
    yield f"When, {_day(explanation)} UTC".replace(",  UTC", ", UTC"), _times(explanation)
    yield "Pane by pane", _panes(explanation)
    strongest = explanation.strongest
    if strongest is not None:
        yield f"What the detector read at the end of {_moment(strongest.pane)[:-3]}", _seen(strongest, finding)
    yield f"Parameters in force, detectors.{finding.kind}", _parameters(explanation.parameters)
    if explanation.others:
        yield "Other findings", _others(explanation.others)
    yield "What this detector sees", Text(explanation.sees)
    yield "What may be mistaken for it", _list(explanation.false_positives)
    yield "What to do", Text(explanation.response)


def _times(explanation: Explanation) -> RenderableType:
    table = _table("at", "certain at", "")
    clock = _clock(explanation, seconds=True)
    early = "the anchor pane begins, the first in which the condition holds; from here on it may be told early"
    table.add_row(clock(explanation.anchor), "", early)
    for index, update in enumerate(explanation.updates):
        what = ("grown" if index else "raised") if update.status == "open" else update.status
        figures = f": value {number(update.value)}, threshold {number(update.threshold)}, {update.severity}"
        said = what + figures if update.status == "open" else what
        table.add_row(clock(update.event_time), clock(update.certain_at), said)
    if not explanation.published:
        table.add_row("", "", "not told by itself: part of a bigger story, or held back")
    return Group(table, Text("It is certain once records that end then have come.", style="dim"))


def _panes(explanation: Explanation) -> RenderableType:
    clock = _clock(explanation)
    table = _table("pane", "value", "threshold", "baseline", "of threshold", "", right=(1, 2, 3))
    raised = {update.event_time - PANE_SECONDS for update in explanation.updates[1:] if update.status == "open"}
    told: list[str] = []
    for alike, several in groupby(explanation.panes, key=lambda pane: _alike(pane, grown=pane.pane in raised)):
        first, *others = several
        when = clock(first.pane) + (f" - {clock(others[-1].pane)}" if others else "")
        if not alike[0]:
            table.add_row(when, "", "", "", Text("nothing near", style="dim"), "")
        notes = ["anchor"] * first.anchor + ["grown"] * (first.pane in raised)
        for figure in first.figures:
            rule = list(_rule(figure.told))
            table.add_row(
                when,
                number(figure.value),
                number(figure.threshold),
                number(figure.baseline),
                _bar(figure.value, figure.threshold),
                ", ".join([*notes, *(rule if rule != told else [])]),
                style=None if figure.over else "dim",
            )
            when, notes, told = "", [], rule
    return table


def _alike(pane: PaneFigures, *, grown: bool) -> tuple[tuple[tuple[float, float], ...], bool, bool]:
    return tuple((figure.value, figure.threshold) for figure in pane.figures), pane.anchor, grown


def _bar(value: float, threshold: float) -> Text:
    share = value / threshold if threshold > 0 else 1.0
    filled = min(int(share * _BAR), _BAR)
    times = f" x{share:.1f}" if share >= 1 else f" {share:.0%}"
    return Text.assemble(("█" * filled, "red" if share >= 1 else "yellow"), ("░" * (_BAR - filled), "dim"), times)


def _rule(told: Mapping[str, Any]) -> Iterator[str]:
    """Say which rule it was, where a detector has several."""
    if "rule" in told:
        yield str(told["rule"]).replace("_", " ")
    if told.get("port"):
        yield f"port {told['port']}"
    if "window_panes" in told:
        yield f"over {told['window_panes']} min"


def _seen(pane: PaneFigures, finding: Finding) -> RenderableType:
    table = _table("", "", header=False)
    scored = pane.figures[0].told
    if scored:
        table.add_row("scored", _row(scored))
    known = {"source": finding.source, "target": finding.target, **scored}
    for each in pane.statistics:
        row = {name: value for name, value in each.rows[0].items() if name not in known or value != known[name]}
        more = f"(the largest of {number(each.in_all)} rows)" if each.in_all > 1 else ""
        table.add_row(f"{each.table}, {each.panes} min", Text.assemble(_row(row), (more, "dim")))
    return table


def _row(row: Mapping[str, Any]) -> Text:
    parts: list[str | tuple[str, str]] = []
    for name, value in row.items():
        if name in _KNOWN:
            continue
        parts += [(f"{name} ", "dim"), f"{_written(name, value)}  "]
    return Text.assemble(*parts)


def _written(name: str, value: Any) -> str:
    if name in _TIMES:
        return datetime.fromtimestamp(value, UTC).strftime("%H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value) if "port" not in name or name.startswith("failed") else str(value)
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _parameters(parameters: Sequence[ParameterInForce]) -> RenderableType:
    table = _table("", "", "", header=False, right=(1,))
    for each in parameters:
        origin = "default" if each.value == each.default else f"set; default {number(each.default)}"
        what = f"{each.unit} ({origin})" + ("; threshold" if each.threshold else "")
        table.add_row(each.name, number(each.value), what, style=None if each.threshold else "dim")
    return table


def _others(others: Sequence[Other]) -> RenderableType:
    table = _table("", "", header=False)
    for other in others:
        table.add_row(other.why, f"{other.id}  {other.kind}: {other.summary}")
    return table


def _list(sentences: Sequence[str]) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    for sentence in sentences:
        table.add_row("-", sentence)
    return table


def _table(*names: str, right: Sequence[int] = (), header: bool = True) -> Table:
    """Begin a table whose last column takes what room is left."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header, header_style="dim")
    for index, name in enumerate(names):
        last = index == len(names) - 1
        table.add_column(name, justify="right" if index in right else "left", no_wrap=not last)
    return table


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _clock(explanation: Explanation, *, seconds: bool = False) -> Callable[[int], str]:
    """Choose how to write times: with the date only where there are several."""
    written = ("%H:%M:%S" if seconds else "%H:%M") if _day(explanation) else "%m-%d %H:%M"
    return lambda moment: datetime.fromtimestamp(moment, UTC).strftime(written)


def _day(explanation: Explanation) -> str:
    """Return the day on which all of it was; nothing where there are several."""
    times = [pane.pane for pane in explanation.panes] + [update.certain_at for update in explanation.updates]
    days = {datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d") for moment in (explanation.anchor, *times)}
    return days.pop() if len(days) == 1 else ""
