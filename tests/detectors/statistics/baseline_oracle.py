"""Baselines once more, in plain Python: every host has a number for every pane, and nothing is lazy or fast."""

from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

EDGES = [1]
while len(EDGES) < 256:
    EDGES.append(EDGES[-1] + max(1, EDGES[-1] // 8))

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def level(amount: float) -> int:
    return min(bisect_right(EDGES, int(amount)), 255)


def amount(level: int) -> float:
    return (EDGES[level - 1] + EDGES[level] - 1) / 2 if level else 0.0


def median(values: list[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def lower_median(values: list[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2]


class Host:
    """One host: its amounts by pane, its learned levels by width and pane, its hours by width and day and hour."""

    def __init__(self, key: int) -> None:
        self.early = (key >> 56) * 60 // 256
        self.amounts: dict[int, int] = {}
        self.learned: dict[int, dict[int, int]] = {1: {}, 5: {}}
        self.complete = False
        self.hours: dict[int, dict[datetime, tuple[int, int]]] = {1: {}, 5: {}}
        self.ceiling = {1: 255, 5: 255}

    def hour(self, pane: int) -> int:
        return (pane + self.early) // 60

    def close(self, pane: int, held: int) -> None:
        self.amounts[pane] = held
        for width, learned in self.learned.items():
            window = sum(self.amounts.get(each, 0) for each in range(pane - 2 * width + 2, pane - width + 2))
            learned[pane] = min(level(window), self.ceiling[width])

    def active(self, begin: int, end: int) -> bool:
        """Whether anything mattered in an hour: what it held, or what it held in the windows before."""
        return any(self.amounts.get(pane, 0) for pane in range(begin - 8, end))

    def end_hour(self, begin: int) -> None:
        day = EPOCH + timedelta(hours=self.hour(begin))
        for width, learned in self.learned.items():
            levels = sorted(learned.get(pane, 0) for pane in range(begin, begin + 60))
            self.hours[width][day] = levels[29], levels[53]

    def usual(self, pane: int, width: int, began: int) -> tuple[float, float, int]:
        both = [self._season(self.hour(edge), width) for edge in (pane - 10, pane + 10)]
        if max(known for _, _, known in both) >= 3:
            return max(each[0] for each in both), max(each[1] for each in both), 60 * max(each[2] for each in both)
        middling = _of_hours(list(self._remembered(width).values()))
        if middling[2] >= 24:
            return middling[0], middling[1], 60 * middling[2]
        return self.last_hour(pane, width, began)

    def last_hour(self, pane: int, width: int, began: int) -> tuple[float, float, int]:
        count = min(60, max(0, pane - began - 2 * (width - 1)))
        windows = [amount(self.learned[width].get(pane - 1 - age, 0)) for age in range(count)]
        if not windows:
            return 0.0, 0.0, 0
        middle = median(windows)
        return middle, 1.4826 * median([abs(each - middle) for each in windows]), count

    def _remembered(self, width: int) -> dict[datetime, tuple[int, int]]:
        """Of each hour of the week the last one; of those of weekends the last ones of odd and of even weeks."""
        last = {}
        for time in sorted(self.hours[width]):
            week = (time.date() - EPOCH.date() + timedelta(days=3)).days // 7
            weekend = time.weekday() >= 5
            last[time.weekday(), time.hour, week % 2 if weekend else 0] = time
        return {time: self.hours[width][time] for time in last.values()}

    def _season(self, hour: int, width: int) -> tuple[float, float, int]:
        now = EPOCH + timedelta(hours=hour)
        same = [
            summary
            for time, summary in self._remembered(width).items()
            if time.hour == now.hour and (time.weekday() >= 5) == (now.weekday() >= 5)
        ]
        return _of_hours(same)


def _of_hours(summaries: list[tuple[int, int]]) -> tuple[float, float, int]:
    if not summaries:
        return 0.0, 0.0, 0
    usual, much = [amount(each) for each, _ in summaries], [amount(each) for _, each in summaries]
    middle = lower_median(usual)
    between = 1.4826 * lower_median([abs(each - middle) for each in usual])
    within = lower_median([above - below for below, above in zip(usual, much, strict=True)]) / 1.2816
    return middle, max(between, within), len(summaries)


class Oracle:
    """What baselines say, worked out pane by pane and host by host."""

    def __init__(self) -> None:
        self.hosts: dict[int, Host] = {}
        self.began: int | None = None
        self.learned = self.closed = 0

    def learn(self, pane: int, amounts: Mapping[int, int]) -> None:
        self._silence(pane)
        self._close(pane, {key: held for key, held in amounts.items() if held})
        self.learned = pane

    def usual(self, pane: int, key: int, width: int) -> tuple[float, float, int]:
        self._silence(pane)
        began = pane if self.began is None else self.began
        host = self.hosts.get(key) or Host(key)
        return host.usual(pane, width, began)

    def _silence(self, pane: int) -> None:
        if self.began is not None:
            for each in range(self.closed + 1, min(self.learned + 61, pane)):
                self._close(each, {})

    def _close(self, pane: int, amounts: Mapping[int, int]) -> None:
        broken = self.began is None or pane - self.learned > 60
        if self.began is not None:
            for host in self.hosts.values():
                self._end_hour(host, pane, pane if broken else self.began)
        if broken:
            self.began = pane
        for key in amounts:
            if key not in self.hosts:
                self.hosts[key] = Host(key)
        for key, host in self.hosts.items():
            host.close(pane, amounts.get(key, 0))
        self.closed = pane

    def _end_hour(self, host: Host, pane: int, began: int) -> None:
        hour = host.hour(self.closed)
        if host.hour(pane) == hour:
            return
        begin = hour * 60 - host.early
        if begin >= began:
            # The first hour that ends is left out: the host came in the middle of it.
            if host.complete:
                host.end_hour(begin)
            host.complete = True
        if host.active(begin, begin + 60):
            assert self.began is not None
            for width in (1, 5):
                middle, spread, known = host.last_hour(pane, width, self.began)
                most = 2 * (middle + 8 * max(spread, 0.1 * middle))
                young = len(host.hours[width]) < 24
                host.ceiling[width] = level(most) if young and most >= 1 and known >= 30 else 255
