"""Detections in, findings out: what belongs to one attack becomes one finding that grows and closes."""

from collections.abc import Iterable, Sequence

from detectors.early import Early
from detectors.episodes import QUIET_SECONDS, Key, continues, grew, grown, key, opened
from detectors.finding import Detection, Finding
from detectors.state import Change
from detectors.statistics.contacts import PANE_SECONDS
from detectors.watch import Partial


class Incidents:
    """The attacks that go on, and the sums that span shards.

    This first implementation merges detections of the same kind and ends over time. It sums partials, but
    draws no findings from them; it neither links nor suppresses.
    """

    def __init__(self) -> None:
        self._open: dict[Key, Finding] = {}
        self._published: dict[Key, float] = {}
        self._partials: dict[tuple[str, int, int], int] = {}
        self._early = Early()

    @property
    def open(self) -> int:
        """How many findings are open."""
        return len(self._open)

    def total(self, name: str, pane: int) -> int:
        """Sum a partial over all shards."""
        return sum(value for (each, _, at), value in self._partials.items() if (each, at) == (name, pane))

    def apply(self, detections: Sequence[Detection], partials: Iterable[Partial] = ()) -> list[Finding]:
        """Merge detections, in order of their panes, and return the findings that are worth publishing.

        A finding is published when it opens, when its severity rises, whenever its value has doubled, and when it
        closes because what came next came after the quiet. Provisional detections lead to provisional findings,
        and change nothing about the others.
        """
        for partial in partials:
            self._partials[partial.name, partial.shard, partial.pane] = partial.value
        published = [finding for each in detections if not each.provisional for finding in self._merge(each)]
        return published + self._early.apply((each for each in detections if each.provisional), self._open)

    def adopt(self, published: Iterable[Finding]) -> None:
        """Take responsibility for provisional findings that were published after the state that was restored."""
        self._early.adopt(published)

    def advance(self, closed_until: int) -> list[Finding]:
        """Settle the findings told early, and close those that were quiet for long enough.

        Parameters
        ----------
        closed_until
            Event time before which panes are closed and their detections applied, epoch seconds.
        """
        settled = self._early.settle(closed_until, self._open)
        over = [of for of, finding in self._open.items() if not continues(finding, closed_until)]
        oldest = closed_until - QUIET_SECONDS
        self._partials = {of: value for of, value in self._partials.items() if of[2] + PANE_SECONDS > oldest}
        return settled + [self._close(of) for of in over]

    def changes(self) -> list[Change]:
        """Return the state to store, all of it."""
        state = {
            "open": [[*of, finding.model_dump(mode="json"), self._published[of]] for of, finding in self._open.items()],
            "partials": [[*of, value] for of, value in self._partials.items()],
            "early": self._early.document(),
        }
        return [Change.of_document("incidents", state)]

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up the state that `changes` returned, in new incidents."""
        for change in changes:
            state = change.document()
            for *parts, finding, published in state["open"]:
                of: Key = tuple(parts)
                self._open[of] = Finding.model_validate(finding)
                self._published[of] = published
            self._early.restore(state["early"])
            self._partials = {(name, shard, pane): value for name, shard, pane, value in state["partials"]}

    def _merge(self, detection: Detection) -> list[Finding]:
        of = key(detection)
        before = self._open.get(of)
        if before is None:
            return [self._begin(of, detection)]
        # Time may have leapt over the quiet, so that nothing closed the finding before.
        if not continues(before, detection.pane):
            return [self._close(of), self._begin(of, detection)]
        finding = grown(before, detection)
        self._open[of] = finding
        if not grew(before, finding, self._published[of]):
            return []
        return [self._publish(of, finding.model_copy(update={"updates": finding.updates + 1}))]

    def _begin(self, of: Key, detection: Detection) -> Finding:
        finding = opened(detection)
        self._early.confirm(of, finding)
        return self._publish(of, finding)

    def _publish(self, of: Key, finding: Finding) -> Finding:
        self._open[of] = finding
        self._published[of] = finding.value
        return finding

    def _close(self, of: Key) -> Finding:
        del self._published[of]
        finding = self._open.pop(of)
        return finding.model_copy(update={"status": "closed", "updates": finding.updates + 1})
