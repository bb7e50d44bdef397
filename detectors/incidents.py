"""Detections in, findings out: what belongs to one attack becomes one finding that grows and closes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from detectors.closed import Partial
from detectors.early import Early
from detectors.episodes import QUIET_SECONDS, Key, continues, grew, grown, key, opened, superseded
from detectors.finding import Detection, Finding
from detectors.state import Change
from detectors.statistics.contacts import PANE_SECONDS
from detectors.stories import LINK_SECONDS, Told, akin, containing, contains, rank, related, retold
from detectors.suppression import NOTHING_KEPT, Policy, Story


class Incidents:
    """The attacks that go on, and the sums that span shards.

    Detections of the same kind and ends become one finding. What is part of a bigger story is superseded by it, or
    not told at all, and findings of the same actor name each other. Partials are summed; nothing is drawn from them.

    A finding that is suppressed goes on like any other, and is told as soon as nothing keeps it back any more.

    Parameters
    ----------
    policy
        What people are not told.
    """

    def __init__(self, policy: Policy = NOTHING_KEPT) -> None:
        self._policy = policy
        self._kept_back: list[Finding] = []
        self._open: dict[Key, Finding] = {}
        self._published: dict[Key, float] = {}
        self._portless: set[Key] = set()
        self._partials: dict[tuple[str, int, int], int] = {}
        self._told: dict[str, Told] = {}
        self._early = Early()

    @property
    def open(self) -> int:
        """How many findings are open that people are told."""
        return self.open_by_kind.total()

    @property
    def open_by_kind(self) -> Counter[tuple[str, str]]:
        """How many of these there are of each kind and severity."""
        told = (finding for finding in self._open.values() if finding.suppressed_by is None)
        return Counter((finding.kind, finding.severity) for finding in told)

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
        early = [each for each in detections if each.provisional]
        return published + self._early.apply(self._untold(early), self._telling())

    def kept_back(self) -> list[Finding]:
        """Return what was suppressed since the last call: findings as that begins (open), and as they end."""
        kept, self._kept_back = self._kept_back, []
        return kept

    def follow(self, policy: Policy) -> list[Finding]:
        """Take another policy, and bring what people were told into line with it.

        Returns
        -------
        list of Finding
            Findings to publish: those that are kept back from now on, as closed, and those that are not any more.
        """
        self._policy = policy
        settled = self._early.keep_back(policy)
        return settled + [finding for of in list(self._open) for finding in self._review(of)]

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
        settled = self._early.settle(closed_until, self._telling())
        over = [of for of, finding in self._open.items() if not continues(finding, closed_until)]
        oldest = closed_until - QUIET_SECONDS
        self._partials = {of: value for of, value in self._partials.items() if of[2] + PANE_SECONDS > oldest}
        closed = [finding for of in over for finding in self._close(of)]
        self._told = {
            name: told for name, told in self._told.items() if told.window_end + told.kept_seconds > closed_until
        }
        return settled + closed

    def changes(self) -> list[Change]:
        """Return the state to store, all of it."""
        state = {
            "open": [[*of, finding.model_dump(mode="json"), self._published[of]] for of, finding in self._open.items()],
            "partials": [[*of, value] for of, value in self._partials.items()],
            "portless": sorted(self._portless, key=str),
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
            self._portless = {(kind, scope, *ends, other) for kind, scope, *ends, other in state.get("portless", ())}
            self._early.restore(state["early"])
            for ends, name, first_seen, window_end, ports, *kept in state["told"]:
                kind, scope, source, target, other = ends
                ended: Key = kind, scope, source, target, other
                self._told[name] = Told(ended, name, first_seen, window_end, tuple(ports), *kept)
            self._partials = {(name, shard, pane): value for name, shard, pane, value in state["partials"]}

    def _merge(self, detection: Detection) -> list[Finding]:
        of = key(detection)
        before = self._open.get(of)
        # Time may have leapt over the quiet, so that nothing closed the finding before.
        if before is not None and not continues(before, detection.pane):
            return [*self._close(of), *self._merge(detection)]
        bigger = containing(of, detection, self._taking_up(detection))
        if bigger is not None:
            return self._stretch(bigger, detection)
        if before is None:
            return [] if self._retold(of, detection) else self._begin(of, detection)
        finding = self._marked(of, grown(before, detection), detection)
        self._open[of] = finding
        # What it tells has grown, and may have come to contain others.
        smaller = self._supersede(of, finding, detection.pane)
        return [*smaller, *self._go_on(of, before, finding)]

    def _begin(self, of: Key, detection: Detection) -> list[Finding]:
        finding = self._marked(of, opened(detection), detection)
        superseded = self._supersede(of, finding, detection.pane)
        return [*superseded, *self._tell(of, finding, detection.pane)]

    def _tell(self, of: Key, finding: Finding, pane: int) -> list[Finding]:
        """Publish a finding for the first time, or keep it back."""
        if finding.suppressed_by is not None:
            self._kept_back.append(self._publish(of, finding))
            return []
        self._early.confirm(of, finding)
        return [self._publish(of, finding if finding.observed else self._linked(of, finding, pane))]

    def _go_on(self, of: Key, before: Finding, finding: Finding) -> list[Finding]:
        """Publish a finding that goes on, where that is worth it or something else keeps it back than before."""
        if finding.suppressed_by is not None:
            return [] if before.suppressed_by is not None else [self._keep_back(of, before, finding)]
        if before.suppressed_by is not None or before.observed is not finding.observed:
            if finding.observed and before.suppressed_by is None:
                return [self._keep_back(of, before, finding)]
            # Whether it was published before, or is told for the first time.
            again = before.suppressed_by is None or before.updates > 0
            told = finding.model_copy(update={"updates": finding.updates + again})
            return self._tell(of, told, finding.window_end)
        if grew(before, finding, self._published[of]):
            return [self._publish(of, finding.model_copy(update={"updates": finding.updates + 1}))]
        return []

    def _keep_back(self, of: Key, before: Finding, finding: Finding) -> Finding:
        """Go on with a finding that was told, and tell it as closed."""
        kept = self._publish(of, finding.model_copy(update={"updates": finding.updates + 1}))
        if kept.suppressed_by is not None:
            self._kept_back.append(kept)
        return kept.model_copy(update={"status": "closed", "observed": before.observed})

    def _review(self, of: Key) -> list[Finding]:
        before = self._open[of]
        self._open[of] = finding = self._marked(of, before)
        return [] if finding is before else self._go_on(of, before, finding)

    def _stretch(self, of: Key, detection: Detection) -> list[Finding]:
        """Let a finding go on for as long as what is part of it does."""
        finding = self._open[of]
        self._open[of] = finding.model_copy(
            update={
                "window_end": max(finding.window_end, detection.window_end),
                "last_seen": max(finding.last_seen, detection.last_seen),
            }
        )
        return self._review(of)

    def _supersede(self, of: Key, finding: Finding, pane: int) -> list[Finding]:
        """End the findings that are part of a bigger one, and return those that were told."""
        parts = [
            each
            for each, smaller in self._open.items()
            if each != of
            and continues(smaller, pane)
            and contains(of, finding.ports, each, smaller.ports, smaller.interface_id)
            and self._policy.takes_up(
                smaller,
                suppressed_by=finding.suppressed_by,
                observed=finding.observed,
                portless=each in self._portless,
            )
        ]
        return self._told_of(superseded(self._drop(each), finding.id) for each in parts)

    def _retold(self, of: Key, detection: Detection) -> bool:
        over = (Told.by(each, finding) for each, finding in self._open.items())
        return any(
            retold(each, of, detection)
            and self._policy.takes_up(detection, suppressed_by=each.suppressed_by, observed=each.observed)
            for each in (*self._told.values(), *over)
        )

    def _linked(self, of: Key, finding: Finding, pane: int) -> Finding:
        """Let a finding name those that belong to the same story, and those of them that go on name it."""
        names = [
            told.id
            for told in self._told.values()
            if _alerted(told) and akin(of, told.of) and told.window_end + LINK_SECONDS > pane
        ]
        for each, other in self._telling().items():
            if akin(of, each) and other.window_end + LINK_SECONDS > pane:
                names.append(other.id)
                if continues(other, pane):
                    self._open[each] = other.model_copy(update={"related": related(other, [finding.id])})
        return finding.model_copy(update={"related": related(finding, names)})

    def _marked(self, of: Key, finding: Finding, detection: Detection | None = None) -> Finding:
        """Mark a finding, with what was seen of it now, by what keeps it back."""
        if detection is not None and not detection.ports:
            # What ports it lists later are not all there is to it.
            self._portless.add(of)
        return self._policy.marked(finding, portless=of in self._portless)

    def _telling(self) -> dict[Key, Finding]:
        """Return the open findings that people are alerted of."""
        return {of: each for of, each in self._open.items() if _alerted(each)}

    def _taking_up(self, part: Story, among: Mapping[Key, Finding] | None = None) -> Mapping[Key, Finding]:
        """Return the open findings that may tell of a part of theirs."""
        return {
            of: each
            for of, each in (self._open if among is None else among).items()
            if self._policy.takes_up(part, suppressed_by=each.suppressed_by, observed=each.observed)
        }

    def _untold(self, early: Sequence[Detection]) -> list[Detection]:
        """Leave out provisional detections that people are not told, and what is part of those."""
        kept = [each for each in early if self._policy.keeps(each)]
        hidden = {of: each for of, each in self._open.items() if not _alerted(each)}
        hidden |= {key(each): self._policy.marked(opened(each)) for each in kept}
        if not hidden:
            return list(early)
        return [
            each
            for each in early
            if not self._policy.keeps(each) and containing(key(each), each, self._taking_up(each, hidden)) is None
        ]

    def _publish(self, of: Key, finding: Finding) -> Finding:
        self._open[of] = finding
        self._published[of] = finding.value
        return finding

    def _close(self, of: Key) -> list[Finding]:
        finding = self._drop(of)
        self._told[finding.id] = Told.by(of, finding)
        return self._told_of([finding.model_copy(update={"status": "closed", "updates": finding.updates + 1})])

    def _told_of(self, ended: Iterable[Finding]) -> list[Finding]:
        """Return those of the findings that ended of which people were told."""
        findings = list(ended)
        self._kept_back += (finding for finding in findings if finding.suppressed_by is not None)
        return [finding for finding in findings if finding.suppressed_by is None]

    def _drop(self, of: Key) -> Finding:
        del self._published[of]
        self._portless.discard(of)
        return self._open.pop(of)


def _alerted(finding: Finding | Told) -> bool:
    """Say whether people are alerted of a finding."""
    return finding.suppressed_by is None and not finding.observed


def _order(detection: Detection) -> tuple[int, int]:
    return detection.pane, rank(detection)
