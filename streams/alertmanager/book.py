"""Which alerts are open, which are over, and when each is to be sent: no clock, no network."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from detectors.finding import SEVERITIES, Finding
from streams.alertmanager.alerts import Alert, Labels, Told, alert, told
from streams.alertmanager.settings import AlertmanagerSettings
from streams.alertmanager.surge import Surge

Unit = tuple[Alert, ...]
"""Alerts that must come in one request: an alert whose severity rose, and what it was before."""

RECENT_SECONDS: Final = 7200.0
"""A finding that is over, and was seen so lately, may still be open where a worker before this one told it."""

_WAITING: Final = 5
"""Findings that may wait for each that may be open."""


class Book:
    """The open findings, as alerts.

    Findings with the same labels are one alert, which is resolved when the last of them is over. New findings wait
    for their turn, the most severe first; at most `open_alerts` are open and five times as many wait. What is beyond
    that is counted. As long as any are left over, one more alert says so.

    It begins by catching up: what it takes until `catch_up` is the past, and nothing of it is news.

    Parameters
    ----------
    settings
        What is sent, and how much of it.
    """

    def __init__(self, settings: AlertmanagerSettings) -> None:
        self.untold = 0
        """Findings that came while no more could wait."""
        self._settings = settings
        self._open: dict[str, Told] = {}
        self._alerts: dict[Labels, dict[str, Told]] = {}
        self._due: dict[Labels, float] = {}
        self._waiting: dict[str, OrderedDict[str, Told]] = {each: OrderedDict() for each in reversed(SEVERITIES)}
        self._over: OrderedDict[Labels, Alert] = OrderedDict()
        self._over_due: dict[Labels, float] = {}
        self._units: list[Unit] = []
        self._recent: OrderedDict[Labels, Told] = OrderedDict()
        self._catching_up = True
        self._surge = Surge(settings)
        self._untold_before = 0

    @property
    def open(self) -> int:
        """How many alerts are open."""
        return len(self._alerts)

    @property
    def waiting(self) -> int:
        """How many findings wait to be alerts."""
        return sum(map(len, self._waiting.values()))

    @property
    def surges(self) -> bool:
        """Whether findings are left over."""
        return self._surge.goes_on

    def take(self, findings: Iterable[Finding], now: float) -> None:
        """Take what became of findings; `now` is the time, epoch seconds."""
        for finding in findings:
            if finding.status != "open":
                self._end(finding, now)
                if self._catching_up and now - finding.last_seen < RECENT_SECONDS:
                    self._remember(finding)
            elif not finding.provisional or self._settings.send_provisional:
                self._go_on(told(finding, self._settings), now)

    def catch_up(self, now: float) -> None:
        """Tell at once all that is open, since others have told it before, and that what is over is over."""
        self._catching_up = False
        self._promote(self._settings.open_alerts, now)
        for labels, each in self._recent.items():
            if labels not in self._alerts:
                self._resolve(labels, each, now)
        self._recent.clear()

    def _remember(self, finding: Finding) -> None:
        each = told(finding, self._settings)
        self._recent[each.labels] = each
        self._recent.move_to_end(each.labels)
        if len(self._recent) > self._settings.open_alerts:
            self._recent.popitem(last=False)

    def due(self, now: float) -> list[Unit]:
        """Say what is to be sent now."""
        if self._catching_up:
            return []
        self._promote(self._settings.new_alerts_per_interval, now)
        units, self._units = self._units, []
        units += self._surging(now)
        for labels in [labels for labels, at in self._due.items() if at <= now]:
            units.append((alert(labels, self._alerts[labels].values()),))
            self._due[labels] = now + self._settings.resend_seconds
        units += self._resolved_again(now)
        return units

    def _go_on(self, each: Told, now: float) -> None:
        before = self._open.get(each.id)
        if before is not None:
            self._open[each.id] = each
            if before.labels == each.labels:
                self._alerts[each.labels][each.id] = each
            else:
                self._relabel(before, each, now)
            return
        for queue in self._waiting.values():
            queue.pop(each.id, None)
        if each.labels in self._alerts and len(self._open) < self._settings.open_alerts:
            self._enter(each, now, news=False)
            return
        self._wait(each)

    def _wait(self, each: Told) -> None:
        self._waiting[each.severity][each.id] = each
        if self.waiting > _WAITING * self._settings.open_alerts:
            least = next(queue for queue in reversed(self._waiting.values()) if queue)
            least.popitem()
            self.untold += 1

    def _promote(self, most: int, now: float) -> None:
        for queue in self._waiting.values():
            while queue and most and len(self._open) < self._settings.open_alerts:
                _, each = queue.popitem(last=False)
                news = each.labels not in self._alerts
                self._enter(each, now, news=news)
                most -= news

    def _enter(self, each: Told, now: float, *, news: bool) -> None:
        self._open[each.id] = each
        self._alerts.setdefault(each.labels, {})[each.id] = each
        if news:
            self._forget_end(each.labels)
            self._due[each.labels] = now

    def _relabel(self, before: Told, after: Told, now: float) -> None:
        """End the alert that a finding was, and open the one that it is, in one request."""
        ended = self._leave(before, now)
        news = after.labels not in self._alerts
        self._enter(after, now, news=news)
        opened = alert(after.labels, self._alerts[after.labels].values())
        self._units.append((*ended, opened))
        self._due[after.labels] = now + self._settings.resend_seconds

    def _end(self, finding: Finding, now: float) -> None:
        for queue in self._waiting.values():
            queue.pop(finding.id, None)
        each = self._open.pop(finding.id, None)
        if each is not None:
            self._units += [(ended,) for ended in self._leave(each, now)]

    def _leave(self, each: Told, now: float) -> Sequence[Alert]:
        members = self._alerts[each.labels]
        del members[each.id]
        if members:
            return ()
        del self._alerts[each.labels], self._due[each.labels]
        return (self._remember_end(each.labels, each, now),)

    def _surging(self, now: float) -> Iterator[Unit]:
        more, self._untold_before = self.untold - self._untold_before, self.untold
        waiting = {severity: len(queue) for severity, queue in self._waiting.items() if queue}
        full = len(self._open) >= self._settings.open_alerts
        one = self._surge.look(waiting, more, full=full, now=now)
        if one is None:
            return
        if one.resolved_at is None:
            self._forget_end(one.labels)
        else:
            self._end_alert(one, now)
        yield (one,)

    def _resolve(self, labels: Labels, each: Told, now: float) -> None:
        self._units.append((self._remember_end(labels, each, now),))

    def _remember_end(self, labels: Labels, each: Told, now: float) -> Alert:
        open_one = alert(labels, [each])
        ended = replace(open_one, resolved_at=now)
        self._end_alert(ended, now)
        return ended

    def _end_alert(self, ended: Alert, now: float) -> None:
        self._over[ended.labels] = ended
        self._over.move_to_end(ended.labels)
        self._over_due[ended.labels] = now + self._settings.resend_seconds
        if len(self._over) > self._settings.open_alerts:
            oldest, _ = self._over.popitem(last=False)
            del self._over_due[oldest]

    def _forget_end(self, labels: Labels) -> None:
        self._over.pop(labels, None)
        self._over_due.pop(labels, None)

    def _resolved_again(self, now: float) -> Iterator[Unit]:
        for labels, ended in list(self._over.items()):
            assert ended.resolved_at is not None  # noqa: S101 - narrows the type
            if now - ended.resolved_at > self._settings.resolved_seconds:
                self._forget_end(labels)
            elif self._over_due[labels] <= now:
                self._over_due[labels] = now + self._settings.resend_seconds
                yield (ended,)
