"""Findings told early: what open panes show, until those panes close and settle it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detectors.episodes import Key, continues, grew, grown, key, opened, superseded
from detectors.finding import Detection, Finding
from detectors.stories import containing, contains, rank
from detectors.suppression import Policy


class _Story:
    """One attack that is seen in panes still open.

    Its finding is named by the earliest of them, and changes its name when an earlier one joins or that one falls
    away.

    Parameters
    ----------
    panes
        What was last seen in each pane.
    """

    def __init__(self, panes: Mapping[int, Sequence[Detection]]) -> None:
        self.panes = dict(panes)
        self.finding = self._told()
        self.published = 0.0

    @property
    def anchor(self) -> int:
        """The earliest pane."""
        return min(self.panes)

    def publish(self) -> Finding:
        """Return the finding, and remember how large it was."""
        self.published = self.finding.value
        return self.finding

    def see(self, panes: Mapping[int, Sequence[Detection]]) -> list[Finding]:
        """Take what was seen since, and return what is worth publishing."""
        self.panes |= panes
        before, after = self.finding, self._told()
        if after.id != before.id:
            self.finding = after
            return [_ended(before, superseded_by=after.id), self.publish()]
        worth = grew(before, after, self.published)
        self.finding = after.model_copy(update={"updates": before.updates + worth})
        return [self.publish()] if worth else []

    def _told(self) -> Finding:
        """Bring the detections of all panes together."""
        first, *others = (detection for pane in sorted(self.panes) for detection in self.panes[pane])
        finding = opened(first)
        for detection in others:
            finding = grown(finding, detection)
        return finding


class Early:
    """Provisional findings that are out, each until its anchor pane closes.

    Then a confirmed finding of the same identifier takes its place, or it is retracted, or superseded where the
    attack goes by another identifier. What is confirmed does not depend on anything here.
    """

    def __init__(self) -> None:
        self._stories: dict[Key, _Story] = {}
        self._forgotten: dict[str, Finding] = {}

    def adopt(self, published: Iterable[Finding]) -> None:
        """Take responsibility for provisional findings that are out, of which a crash lost the stories."""
        told = {story.finding.id for story in self._stories.values()}
        self._forgotten = {finding.id: finding for finding in published if finding.id not in told}

    def __len__(self) -> int:
        return len(self._stories)

    def apply(self, detections: Iterable[Detection], confirmed: Mapping[Key, Finding]) -> list[Finding]:
        """Take what open panes show now, and return the findings that are worth publishing.

        Parameters
        ----------
        detections
            Provisional detections: all there are of their panes.
        confirmed
            Confirmed findings that are open: what belongs to them needs no early word.
        """
        seen: dict[Key, dict[int, list[Detection]]] = {}
        for detection in sorted(detections, key=rank):
            of = key(detection)
            known = confirmed.get(of)
            told = known is not None and continues(known, detection.pane)
            if not told and containing(of, detection, confirmed) is None:
                seen.setdefault(of, {}).setdefault(detection.pane, []).append(detection)
        published = []
        for of, panes in seen.items():
            if of in self._stories:
                published += self._stories[of].see(panes)
            elif self._bigger(of, panes) is None:
                self._stories[of] = story = _Story(panes)
                self._forgotten.pop(story.finding.id, None)
                published.append(story.publish())
            published += self._supersede(of)
        return published

    def confirm(self, of: Key, finding: Finding) -> None:
        """Take note that a confirmed finding is out: it takes the place of the provisional one of its name."""
        self._forgotten.pop(finding.id, None)
        if of in self._stories and self._stories[of].finding.id == finding.id:
            del self._stories[of]

    def settle(self, closed_until: int, confirmed: Mapping[Key, Finding]) -> list[Finding]:
        """Settle the stories whose anchor pane has closed without confirming them.

        Parameters
        ----------
        closed_until
            Event time before which panes are closed, epoch seconds; their confirmed detections have been applied.
        confirmed
            Confirmed findings that are open.
        """
        published = []
        for of, story in [each for each in self._stories.items() if each[1].anchor < closed_until]:
            del self._stories[of]
            bigger = containing(of, story.finding, confirmed)
            known = confirmed.get(of if bigger is None else bigger)
            later = {pane: each for pane, each in story.panes.items() if pane >= closed_until}
            if known is not None and (bigger is not None or continues(known, story.anchor)):
                published.append(_ended(story.finding, superseded_by=known.id))
            elif later:
                self._stories[of] = again = _Story(later)
                published += [_ended(story.finding, superseded_by=again.finding.id), again.publish()]
            else:
                published.append(_ended(story.finding))
        # What a forgotten finding rests on is closed when its window is, and nobody has confirmed it.
        over = [finding for finding in self._forgotten.values() if finding.window_end <= closed_until]
        for finding in over:
            del self._forgotten[finding.id]
        return published + [_ended(finding) for finding in over]

    def keep_back(self, policy: Policy) -> list[Finding]:
        """End the findings that people are not told any more, and return them as closed."""
        kept = {of: story.finding for of, story in self._stories.items() if policy.keeps(story.finding)}
        for of in kept:
            del self._stories[of]
        forgotten = [finding for finding in self._forgotten.values() if policy.keeps(finding)]
        for finding in forgotten:
            del self._forgotten[finding.id]
        return [
            finding.model_copy(
                update={
                    "status": "closed",
                    "updates": finding.updates + 1,
                    "suppressed_by": policy.suppressed_by(finding),
                }
            )
            for finding in (*kept.values(), *forgotten)
        ]

    def _bigger(self, of: Key, panes: Mapping[int, Sequence[Detection]]) -> Key | None:
        """Return the bigger story that is told and that detections are part of."""
        told = {each: story.finding for each, story in self._stories.items()}
        return containing(of, panes[min(panes)][0], told)

    def _supersede(self, of: Key) -> list[Finding]:
        """End the stories that are part of one."""
        if of not in self._stories:
            return []
        bigger = self._stories[of].finding
        parts = [
            each
            for each, story in self._stories.items()
            if each != of and contains(of, bigger.ports, each, story.finding.ports, story.finding.interface_id)
        ]
        return [superseded(self._stories.pop(each).finding, bigger.id) for each in parts]

    def document(self) -> list[Any]:
        """Return the state as a JSON document."""
        return [
            {
                "panes": [[each.model_dump(mode="json") for each in pane] for pane in story.panes.values()],
                "updates": story.finding.updates,
                "published": story.published,
            }
            for story in self._stories.values()
        ]

    def restore(self, document: Iterable[Any]) -> None:
        """Take up the state that `document` returned."""
        for each in document:
            panes = [[Detection.model_validate(detection) for detection in pane] for pane in each["panes"]]
            story = _Story({pane[0].pane: pane for pane in panes})
            story.finding = story.finding.model_copy(update={"updates": each["updates"]})
            story.published = each["published"]
            self._stories[key(panes[0][0])] = story


def _ended(finding: Finding, superseded_by: str | None = None) -> Finding:
    if superseded_by is not None:
        return superseded(finding, superseded_by)
    return finding.model_copy(update={"status": "retracted", "updates": finding.updates + 1})
