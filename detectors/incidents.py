"""Detections in, findings out: what belongs to one attack becomes one finding that grows and closes."""

from collections.abc import Iterable, Sequence

from detectors.early import Early
from detectors.episodes import QUIET_SECONDS, Key, continues, grew, grown, key, opened, superseded
from detectors.finding import Detection, Finding
from detectors.state import Change
from detectors.statistics.contacts import PANE_SECONDS
from detectors.stories import LINK_SECONDS, Told, akin, containing, contains, rank, related, retold
from detectors.watch import Partial


class Incidents:
    """The attacks that go on, and the sums that span shards.

    Detections of the same kind and ends become one finding. What is part of a bigger story is superseded by it, or
    not told at all, and findings of the same actor name each other. Partials are summed; nothing is drawn from them.
    """

    def __init__(self) -> None:
        self._open: dict[Key, Finding] = {}
        self._published: dict[Key, float] = {}
        self._partials: dict[tuple[str, int, int], int] = {}
        self._told: dict[str, Told] = {}
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
        confirmed = sorted((each for each in detections if not each.provisional), key=_order)
        published = [finding for each in confirmed for finding in self._merge(each)]
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
        closed = [self._close(of) for of in over]
        self._told = {
            name: told for name, told in self._told.items() if told.window_end + told.kept_seconds > closed_until
        }
        return settled + closed

    def changes(self) -> list[Change]:
        """Return the state to store, all of it."""
        state = {
            "open": [[*of, finding.model_dump(mode="json"), self._published[of]] for of, finding in self._open.items()],
            "partials": [[*of, value] for of, value in self._partials.items()],
            "early": self._early.document(),
            "told": list(self._told.values()),
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
            for ends, name, first_seen, window_end, ports in state["told"]:
                kind, scope, source, target, other = ends
                ended: Key = kind, scope, source, target, other
                self._told[name] = Told(ended, name, first_seen, window_end, tuple(ports))
            self._partials = {(name, shard, pane): value for name, shard, pane, value in state["partials"]}

    def _merge(self, detection: Detection) -> list[Finding]:
        of = key(detection)
        before = self._open.get(of)
        # Time may have leapt over the quiet, so that nothing closed the finding before.
        if before is not None and not continues(before, detection.pane):
            return [self._close(of), *self._merge(detection)]
        bigger = containing(of, detection, self._open)
        if bigger is not None:
            self._stretch(bigger, detection)
            return []
        if before is None:
            return [] if self._retold(of, detection) else self._begin(of, detection)
        finding = grown(before, detection)
        self._open[of] = finding
        # What it tells has grown, and may have come to contain others.
        smaller = self._supersede(of, finding, detection.pane)
        if not grew(before, finding, self._published[of]):
            return smaller
        return [*smaller, self._publish(of, finding.model_copy(update={"updates": finding.updates + 1}))]

    def _begin(self, of: Key, detection: Detection) -> list[Finding]:
        finding = opened(detection)
        self._early.confirm(of, finding)
        superseded = self._supersede(of, finding, detection.pane)
        return [*superseded, self._publish(of, self._linked(of, finding, detection.pane))]

    def _stretch(self, of: Key, detection: Detection) -> None:
        """Let a finding go on for as long as what is part of it does."""
        finding = self._open[of]
        self._open[of] = finding.model_copy(
            update={
                "window_end": max(finding.window_end, detection.window_end),
                "last_seen": max(finding.last_seen, detection.last_seen),
            }
        )

    def _supersede(self, of: Key, finding: Finding, pane: int) -> list[Finding]:
        """End the findings that are part of a bigger one."""
        parts = [
            each
            for each, smaller in self._open.items()
            if each != of and continues(smaller, pane) and contains(of, finding.ports, each, smaller.ports)
        ]
        return [superseded(self._drop(each), finding.id) for each in parts]

    def _retold(self, of: Key, detection: Detection) -> bool:
        over = (Told.by(each, finding) for each, finding in self._open.items())
        return any(retold(each, of, detection) for each in (*self._told.values(), *over))

    def _linked(self, of: Key, finding: Finding, pane: int) -> Finding:
        """Let a finding name those that belong to the same story, and those of them that go on name it."""
        names = [told.id for told in self._told.values() if akin(of, told.of) and told.window_end + LINK_SECONDS > pane]
        for each, other in self._open.items():
            if akin(of, each) and other.window_end + LINK_SECONDS > pane:
                names.append(other.id)
                if continues(other, pane):
                    self._open[each] = other.model_copy(update={"related": related(other, [finding.id])})
        return finding.model_copy(update={"related": related(finding, names)})

    def _publish(self, of: Key, finding: Finding) -> Finding:
        self._open[of] = finding
        self._published[of] = finding.value
        return finding

    def _close(self, of: Key) -> Finding:
        finding = self._drop(of)
        self._told[finding.id] = Told.by(of, finding)
        return finding.model_copy(update={"status": "closed", "updates": finding.updates + 1})

    def _drop(self, of: Key) -> Finding:
        del self._published[of]
        return self._open.pop(of)


def _order(detection: Detection) -> tuple[int, int]:
    return detection.pane, rank(detection)
