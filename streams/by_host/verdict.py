"""The incidents stage over all partitions of hosts: judges panes once all have come that far, and makes findings."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from detectors.catalogue import catalogue
from detectors.finding import Detection, Finding
from detectors.gathered import Ask, Judge
from detectors.incidents import Incidents
from detectors.parameters import HostAddresses
from detectors.questions import Question
from detectors.state import Change, below, prefixed
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.volumes import SPREAD_SECONDS
from streams import tuning
from streams.by_host.commands import ASK, CLOSE, SETTLE, Command, Reached
from streams.by_host.shard import NEVER
from streams.errors import ServiceError
from streams.settings import Settings


class Verdict:
    """Which panes were judged, what is usual for what spans partitions, and the findings.

    Parameters
    ----------
    settings
        All settings.
    parts
        How many partitions of hosts there are.
    """

    def __init__(self, settings: Settings, parts: int) -> None:
        self._parts = parts
        self._settings = settings
        self.judge = Judge(catalogue(), {})
        self.incidents = Incidents(tuning.policy(settings))
        self._addresses = HostAddresses(self.judge.known)
        self.judge.set(tuning.parameters(settings, self._addresses))
        self._judged: list[int] = [NEVER]
        """The panes that were judged, each partition being at one of them at least, or behind it."""
        self.settled = NEVER
        self._restored = False

    @property
    def last(self) -> int:
        """Begin of the pane that was judged last."""
        return self._judged[-1]

    def follow(self, last: int, incidents: Sequence[Change]) -> None:
        """Begin where another one stopped, of other partitions: with its findings, behind the pane it judged last."""
        self._judged = [last]
        self.incidents.restore(incidents)

    def retune(self, settings: Settings) -> list[Finding]:
        """Take other parameters, modes and suppressions, and bring what people were told into line with them."""
        self._settings, self._restored = settings, False
        self.judge.set(tuning.parameters(settings, self._addresses))
        return self.incidents.follow(tuning.policy(settings))

    def due(self, reached: Mapping[int, Reached]) -> tuple[int, list[int]] | None:
        """Say up to where panes can be closed, and which ones; None while a partition is unknown, or nothing is new.

        Raises
        ------
        streams.errors.ServiceError
            When a partition has closed a pane that is not known here: state was lost, and waiting does not help.
        """
        for each in reached.values():
            if each.learned > self.last:
                raise self._lost(each.learned)
        if len(reached) < self._parts:
            return None
        watermark = min(each.watermark for each in reached.values())
        if watermark <= self.settled:
            return None
        panes = {pane for each in reached.values() for pane in each.panes}
        closed_until = watermark - SPREAD_SECONDS
        return watermark, sorted(pane for pane in panes if self.last < pane < closed_until)

    def asking(self, pane: int, question: Question) -> Command:
        """Return the command that asks all partitions about the pane that is judged next."""
        return Command(ASK, self.last, pane, _shown_from(pane), question)

    def close(self, pane: int, ask: Ask) -> list[Detection]:
        """Judge a pane; nothing else of this object is touched meanwhile."""
        return self.judge.close(pane, ask)

    def judged(self, pane: int, detections: Sequence[Detection]) -> list[Finding]:
        """Take note of what a pane brought to light, and return the findings that are worth publishing."""
        self._judged.append(pane)
        return self._followed() + self.incidents.apply(detections)

    def settle(self, watermark: int) -> list[Finding]:
        """Take note that all panes are judged that can be, and return the findings that are settled or over."""
        self.settled = watermark
        return self._followed() + self.incidents.advance(watermark - SPREAD_SECONDS)

    def early(self, detections: Iterable[Detection]) -> list[Finding]:
        """Take note of detections of panes that were open, and return the findings that are worth publishing."""
        return self.incidents.apply([each for each in detections if each.pane > self.last])

    def commands(self, since: int) -> list[Command]:
        """Return the commands that bring a partition here which closed some pane last.

        Raises
        ------
        streams.errors.ServiceError
            When that pane is not known here, so that no commands could.
        """
        if since not in self._judged:
            raise self._lost(since)
        behind = [pane for pane in self._judged if pane >= since]
        closes = [Command(CLOSE, previous, pane, _shown_from(pane)) for previous, pane in pairwise(behind)]
        return [*closes, Command(SETTLE, self.last, self.last, self.settled)]

    def forget(self, reached: Mapping[int, Reached]) -> None:
        """Forget the panes that no partition can go back behind any more, once all are known."""
        if len(reached) == self._parts:
            oldest = min(each.safe for each in reached.values())
            kept = [pane for pane in self._judged if pane >= oldest]
            self._judged = kept or self._judged[-1:]

    def changes(self, *, whole: bool = False) -> list[Change]:
        """Return what changed since the last call, or all there is, which takes the place of what was stored.

        The first call is for all there is, also where the state was restored.
        """
        return [
            *prefixed("judge", self.judge.changes(whole=whole)),
            *prefixed("incidents", self.incidents.changes()),
            Change.of_document("judged", {"panes": self._judged, "settled": self.settled, "parts": self._parts}),
        ]

    def restore(self, changes: Sequence[Change]) -> None:
        """Take up the state that `changes` returned, in a new one, and go by the present policy.

        Raises
        ------
        streams.errors.ServiceError
            When it is that of another number of partitions.
        """
        for change in changes:
            if change.name == "judged":
                state = change.document()
                self._judged, self.settled = state["panes"], state["settled"]
                if state["parts"] != self._parts:
                    raise ServiceError(
                        f"there are {self._parts} partitions of hosts, and the state is that of {state['parts']}; "
                        "divide anew what was learned (docs/how-to/run-several-workers.md)"
                    )
        self.judge.restore(below("judge", changes))
        self.incidents.restore(below("incidents", changes))
        self._restored = True

    def _followed(self) -> list[Finding]:
        """Bring what was stored, and may have been told under other settings, into line with the present ones."""
        restored, self._restored = self._restored, False
        return self.incidents.follow(tuning.policy(self._settings)) if restored else []

    def _lost(self, pane: int) -> ServiceError:
        """Say that no commands lead on from what a partition closed last."""
        whose = (
            f"and the last one judged is {_moment(self.last)}: the state of the incidents stage was lost, or is an "
            "older one than that of the partition"
            if pane > self.last
            else f"and what was judged is known from {_moment(self._judged[0])} on: the state of the partition was "
            "lost, or is an older one than it said was durable"
        )
        return ServiceError(
            f"a partition of hosts has closed {_moment(pane)} last, {whose}; bring back the checkpoints of the same "
            "time for both, or delete those of all partitions of hosts and of the incidents stage, and let all begin "
            "anew"
        )


def _shown_from(pane: int) -> int:
    """Return the event time from which on nothing of a pane changes any more."""
    return pane + PANE_SECONDS + SPREAD_SECONDS


def _moment(pane: int) -> str:
    """Name a pane.

    >>> _moment(1_767_603_600), _moment(NEVER)
    ('the pane of 2026-01-05T09:00:00Z', 'no pane')
    """
    return "no pane" if pane == NEVER else f"the pane of {datetime.fromtimestamp(pane, UTC):%Y-%m-%dT%H:%M:%SZ}"
