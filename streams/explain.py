"""Why a finding is what it is: every figure that led to it, pane by pane."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import count
from typing import Any, Final

from pydantic import BaseModel

from detectors.catalogue import cards, catalogue
from detectors.closed import Closed
from detectors.contract import Card
from detectors.episodes import Key, continues, grown, key, opened
from detectors.finding import Detection, Finding, Severity, Status
from detectors.observed import Ends, Figure, figures, in_force, statistics
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.volumes import SPREAD_SECONDS
from streams.detect import BATCH_BYTES, detect
from streams.errors import InputError
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.sources import Source

_AROUND: Final = 5
"""So many panes before the first window of a finding and after the last one are told too."""

_HOUR: Final = 3600
"""Nor are panes that lie further before the first verdict, however wide its window."""

_LISTED: Final = 10
"""How many findings are named where the one asked for is not there."""

_ID_CHARACTERS: Final = 24


class Statistic(BaseModel):
    """Rows of a table about an attack: the largest ones, and how many there are in all."""

    table: str
    panes: int
    rows: tuple[Mapping[str, Any], ...]
    in_all: int


class PaneFigures(BaseModel):
    """What a detector made of an attack in one pane.

    Attributes
    ----------
    pane
        Its begin, epoch seconds.
    anchor
        Whether it is the pane that gives the finding its identifier.
    figures
        What was compared with what; the first is the furthest above its threshold.
    statistics
        The rows that the detector read.
    """

    pane: int
    anchor: bool
    figures: tuple[Figure, ...]
    statistics: tuple[Statistic, ...]

    @property
    def over(self) -> bool:
        """Whether a threshold was reached."""
        return any(figure.over for figure in self.figures)


class ParameterInForce(BaseModel):
    """A parameter, as it was for the entity."""

    name: str
    value: float
    default: float
    unit: str
    threshold: bool
    meaning: str


class Update(BaseModel):
    """A state of the finding that was published.

    Attributes
    ----------
    event_time
        When it came to be so, epoch seconds.
    certain_at
        Event time that records must have come to for it to be certain, epoch seconds.
    """

    event_time: int
    certain_at: int
    status: Status
    severity: Severity
    value: float
    threshold: float


class Other(BaseModel):
    """Another finding, and what it has to do with this one."""

    id: str
    why: str
    kind: str
    summary: str


class Explanation(BaseModel):
    """Everything there is to say about a finding.

    Attributes
    ----------
    finding
        Its last state.
    published
        Whether it was published by itself; else it was part of another, or held back.
    anchor
        Begin of the pane in which its condition held first, epoch seconds. While that pane is open, the finding may
        be told early, as provisional; when it closes, the finding is confirmed.
    """

    finding: Finding
    published: bool
    anchor: int
    panes: tuple[PaneFigures, ...]
    parameters: tuple[ParameterInForce, ...]
    updates: tuple[Update, ...]
    others: tuple[Other, ...]
    sees: str
    false_positives: tuple[str, ...]
    response: str

    @property
    def strongest(self) -> PaneFigures | None:
        """The pane that lies furthest above the threshold."""
        told = [pane for pane in self.panes if pane.figures]
        return max(told, key=lambda pane: pane.figures[0].value / (pane.figures[0].threshold or 1), default=None)


@dataclass(slots=True)
class _Run:
    """What a run over everything brought to light: states of findings, and the attack behind each identifier."""

    states: list[Finding]
    attacks: dict[str, tuple[Key, Ends, int]]

    def note(self, detection: Detection) -> str:
        """Remember which attack a finding would be of that began with a detection, and return its identifier."""
        name = opened(detection).id
        self.attacks[name] = key(detection), Ends.of(detection), detection.pane
        return name


def explain(
    identifier: str, sources: Callable[[], Sequence[Source]], pipeline: Callable[[], Pipeline], settings: Settings
) -> Explanation:
    """Run sources through the stages twice: to learn which finding is meant, and to watch it.

    Parameters
    ----------
    identifier
        The finding's identifier, or its first characters.
    sources, pipeline
        Open the sources, and make the stages, anew for each run.
    settings
        How to read them, and how sharply to look.

    Raises
    ------
    streams.errors.InputError
        When a source cannot be read to its end, or holds no such finding, or several whose identifiers begin so.
    """
    run = _all(sources(), pipeline(), settings)
    if len(identifier) == _ID_CHARACTERS and identifier not in run.attacks:
        # What was told early and then taken back is in no other run, and whoever asks for it has its whole name.
        early = _all(sources(), pipeline(), settings, early=True)
        run = early if identifier in early.attacks else run
    name = _meant(identifier, run)
    of, ends, anchor = run.attacks[name]
    own = [state for state in run.states if state.id == name]
    begin = max(min((state.window_start for state in own), default=anchor), anchor - _HOUR)
    end = max((state.window_end for state in own), default=anchor + PANE_SECONDS)
    watched = _Watched(of, ends, range(begin - _AROUND * PANE_SECONDS, end + _AROUND * PANE_SECONDS))
    stages = pipeline()
    stages.watch.observe = watched
    for _ in detect(sources(), settings, stages):
        pass
    finding = own[-1] if own else watched.merged(anchor)
    card = cards()[finding.kind]
    return Explanation(
        finding=finding,
        published=bool(own),
        anchor=anchor,
        panes=tuple(pane.model_copy(update={"anchor": pane.pane == anchor}) for pane in watched.panes),
        parameters=tuple(_in_force(card, watched.parameters)),
        updates=tuple(_updates(own, SPREAD_SECONDS + settings.time.allowed_lateness_seconds)),
        others=tuple(_others(finding, run.states)),
        sees=card.sees,
        false_positives=card.false_positives,
        response=card.response,
    )


class _Watched:
    """Looks at one attack in every pane of a range."""

    def __init__(self, of: Key, ends: Ends, panes: range) -> None:
        self.panes: list[PaneFigures] = []
        self.parameters: dict[str, float] = {}
        self._of = of
        self._ends = ends
        self._range = panes
        self._detector = catalogue()[of[0]]
        self._detections: list[Detection] = []

    def __call__(self, closed: Closed) -> None:
        if not self._range.start <= closed.view.pane < self._range.stop:
            return
        detector, parameters = self._detector, closed.parameters[self._of[0]]
        self._detections += [each for each in closed.detections if key(each) == self._of]
        told = figures(detector, closed.view, parameters, self._ends)
        read = statistics(detector, closed.view, self._ends, told[0] if told else None)
        rows = tuple(
            Statistic(table=each.need.table, panes=each.need.panes, rows=tuple(each.rows), in_all=each.in_all)
            for each in read
        )
        self.panes.append(PaneFigures(pane=closed.view.pane, anchor=False, figures=tuple(told), statistics=rows))
        self.parameters = in_force(detector.card, parameters, self._ends)

    def merged(self, anchor: int) -> Finding:
        """Bring the detections from the anchor on into one finding, as nobody else has."""
        first, *others = (each for each in self._detections if each.pane >= anchor)
        finding = opened(first)
        for each in others:
            if continues(finding, each.pane):
                finding = grown(finding, each)
        return finding


def _all(sources: Sequence[Source], pipeline: Pipeline, settings: Settings, *, early: bool = False) -> _Run:
    """Run sources to their end, telling early what open panes show where that is wanted."""
    run = _Run([], {})

    def observe(closed: Closed) -> None:
        for each in closed.detections:
            run.note(each)

    pipeline.watch.observe = observe
    for outcome, _ in detect(sources, settings, pipeline, batch_bytes=1 if early else BATCH_BYTES):
        run.states += outcome.findings
        if early:
            detections = pipeline.watch.look()
            for each in detections:
                run.note(each)
            run.states += pipeline.incidents.apply(detections)
    return run


def _meant(identifier: str, run: _Run) -> str:
    """Return the one identifier that begins so."""
    if identifier in run.attacks:
        return identifier
    last = {state.id: state for state in run.states}
    names = sorted(name for name in last if name.startswith(identifier.lower()))
    if len(names) == 1:
        return names[0]
    if not last:
        raise InputError(f"there is no finding {identifier!r}: nothing was found")
    if names:
        raise InputError(f"{len(names)} findings begin with {identifier!r}: {', '.join(names)}")
    near = get_close_matches(identifier.lower(), last, n=_LISTED)
    listed = sorted(last.values(), key=lambda state: (state.id not in near, state.first_seen, state.id))
    lines = [f"    {state.id}  {state.kind}: {state.summary}" for state in listed[:_LISTED]]
    more = [f"    and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
    raise InputError("\n".join([f"there is no finding {identifier!r}; there are", *lines, *more]))


def _closed_at(finding: Finding) -> int:
    return next(pane for pane in count(finding.window_end, PANE_SECONDS) if not continues(finding, pane))


def _in_force(card: Card, values: Mapping[str, float]) -> Iterator[ParameterInForce]:
    for each in card.parameters:
        yield ParameterInForce(
            name=each.name,
            value=values.get(each.name, each.default),
            default=each.default,
            unit=each.unit,
            threshold=each.threshold,
            meaning=each.meaning,
        )


def _updates(states: Sequence[Finding], behind: int) -> Iterator[Update]:
    for state in states:
        event_time = _closed_at(state) if state.status == "closed" else state.window_end
        yield Update(
            event_time=event_time,
            certain_at=event_time + behind,
            status=state.status,
            severity=state.severity,
            value=state.value,
            threshold=state.threshold,
        )


def _others(finding: Finding, states: Sequence[Finding]) -> Iterator[Other]:
    """Tell of the findings that belong to one, each once."""
    last = {state.id: state for state in states}
    for other in last.values():
        if other.id == finding.superseded_by:
            why = "tells the bigger story"
        elif other.superseded_by == finding.id:
            why = "is part of it"
        elif other.id in finding.related or finding.id in other.related:
            why = "belongs to the same story"
        else:
            continue
        yield Other(id=other.id, why=why, kind=other.kind, summary=other.summary)
