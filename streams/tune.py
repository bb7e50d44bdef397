"""What detectors would have found with other thresholds, and which gives as many findings as are wanted."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import log
from typing import Final

from detectors.catalogue import cards, catalogue
from detectors.closed import Closed
from detectors.contract import Detector, Parameter
from detectors.finding import Finding
from detectors.incidents import Incidents
from detectors.scaled import RememberedView, ScaledParameters, scaled, thresholds
from detectors.statistics.contacts import PANE_SECONDS
from detectors.verdicts import verdicts
from streams.detect import detect, last_states
from streams.errors import InputError
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.sources import Source

TIMES: Final = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""What thresholds are multiplied by."""

DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Trial:
    """What one setting of a detector would have found.

    Attributes
    ----------
    times
        What the thresholds in force were multiplied by.
    values
        The thresholds, by name.
    findings
        How many there were, each attack once.
    hosts
        How many hosts, or other entities, they are about.
    a_day
        Findings a day.
    """

    times: float
    values: Mapping[str, float]
    findings: int
    hosts: int
    a_day: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """The trials of one detector.

    Attributes
    ----------
    kind
        Which detector.
    raised
        The parameters that were varied, the main one first.
    trials
        With ever higher thresholds.
    """

    kind: str
    raised: tuple[Parameter, ...]
    trials: tuple[Trial, ...]

    def wanted(self, per_day: float) -> Trial | None:
        """Return the sharpest setting from which on there are no more than so many findings a day.

        Of several that find the same number it is the one nearest to what is in force: where lower thresholds find
        nothing more, that is no reason to lower them.
        """
        calm = list(takewhile(lambda trial: trial.a_day <= per_day, reversed(self.trials)))
        same = [trial for trial in calm if trial.findings == calm[-1].findings]
        return min(same, key=lambda trial: abs(log(trial.times)), default=None)

    @property
    def in_force(self) -> Trial:
        """The setting that changes nothing."""
        return next(trial for trial in self.trials if trial.times == 1)


@dataclass(frozen=True, slots=True)
class Report:
    """What was tried.

    Attributes
    ----------
    begin, end
        The panes of the input, epoch seconds.
    refused
        How many lines could not be read.
    tunings
        For each detector.
    """

    begin: int
    end: int
    refused: int
    tunings: tuple[Tuning, ...]

    @property
    def days(self) -> float:
        """How long the input is."""
        return (self.end - self.begin) / DAY


def tune(
    sources: Sequence[Source],
    settings: Settings,
    pipeline: Pipeline,
    raised: Mapping[str, tuple[Parameter, ...]] | None = None,
) -> Report:
    """Run sources through the stages once, and judge every pane with many thresholds.

    Parameters
    ----------
    sources, settings, pipeline
        As for `streams.detect.detect`.
    raised
        The parameters to vary, by kind of detector; by default all thresholds of all detectors.

    Raises
    ------
    streams.errors.InputError
        When a source cannot be read to its end, or there are no records.
    """
    chosen = raised if raised is not None else {kind: thresholds(card) for kind, card in cards().items()}
    trials = _Trials(chosen, pipeline.incidents)
    pipeline.watch.observe = trials.judge
    refused = 0
    for outcome, _ in detect(sources, settings, pipeline):
        trials.advance(pipeline.watch.closed_until)
        refused += len(outcome.refused)
    if not trials.end:
        raise InputError(f"there is nothing to try: no records, and {refused:,} lines that were refused")
    days = (trials.end - trials.begin) / DAY
    found = trials.found()
    return Report(
        trials.begin,
        trials.end,
        refused,
        tuple(
            Tuning(kind, parameters, tuple(_trials(settings, kind, parameters, found, days)))
            for kind, parameters in chosen.items()
        ),
    )


class _Trials:
    """Every setting that is tried: its incidents, and what they have published.

    One differs from another in its own detector alone. All others speak as usual, since a bigger story supersedes
    what is part of it.
    """

    def __init__(self, raised: Mapping[str, tuple[Parameter, ...]], incidents: Incidents) -> None:
        self.begin = 0
        self.end = 0
        self._raised = raised
        self._incidents = {(kind, times): copy.deepcopy(incidents) for kind in raised for times in TIMES}
        self._published: dict[tuple[str, float], dict[str, Finding]] = {each: {} for each in self._incidents}

    def judge(self, closed: Closed) -> None:
        """Judge a pane with every setting."""
        pane = closed.view.pane
        self.begin, self.end = self.begin or pane, pane + PANE_SECONDS
        view = RememberedView(closed.view)
        for kind, parameters in self._raised.items():
            others = [each for each in closed.detections if each.kind != kind]
            for times in TIMES:
                own = [each for each in closed.detections if each.kind == kind]
                if times != 1:
                    own = verdicts(
                        _DETECTORS[kind],
                        view,
                        ScaledParameters(closed.parameters[kind], parameters, times),
                        closed.hosts,
                    )
                if own or others:
                    self._keep((kind, times), self._incidents[kind, times].apply([*own, *others]))

    def advance(self, closed_until: int) -> None:
        """Close the findings that were quiet for long enough."""
        for each, incidents in self._incidents.items():
            self._keep(each, incidents.advance(closed_until))

    def found(self) -> Mapping[tuple[str, float], Sequence[Finding]]:
        """Return the findings of each setting that stand."""
        return {each: last_states(list(findings.values())) for each, findings in self._published.items()}

    def _keep(self, of: tuple[str, float], findings: Sequence[Finding]) -> None:
        self._published[of] |= {finding.id: finding for finding in findings if finding.kind == of[0]}


_DETECTORS: Final[Mapping[str, Detector]] = catalogue()


def _trials(
    settings: Settings,
    kind: str,
    raised: Sequence[Parameter],
    found: Mapping[tuple[str, float], Sequence[Finding]],
    days: float,
) -> Iterator[Trial]:
    in_force = settings.detectors.get(kind, {})
    for times in TIMES:
        findings = found[kind, times]
        yield Trial(
            times,
            {each.name: scaled(each, in_force.get(each.name, each.default), times).item() for each in raised},
            len(findings),
            len({(each.scope, each.entity) for each in findings}),
            len(findings) / days,
        )
