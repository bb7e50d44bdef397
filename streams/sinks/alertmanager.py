"""Findings as alerts of Alertmanager."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.finding import Finding
from streams.alertmanager.settings import AlertmanagerSettings
from streams.sinks.contract import Delivery, Sink, Surroundings

if TYPE_CHECKING:
    from streams.alertmanager.book import Book


class Alertmanager(Sink):
    """Keeps which alerts are open, and tells every Alertmanager of them, again and again.

    A delivery only changes what is kept, so it never fails: an Alertmanager that is away is told later what is open
    then. What is kept follows from the findings topic, which is read anew at each start.
    """

    name = "alertmanager"
    settings = AlertmanagerSettings
    replays = True
    skipped_checks: ClassVar[Mapping[str, str]] = {
        "every_finding_is_heard_of_in_order": "what is over before it was sent is no alert",
        "what_was_delivered_may_be_delivered_again": "the check looks for a finding that is over, which is no alert",
        "who_fails_for_a_while_is_told_later": "what is open is kept and sent every minute, and deliveries never fail",
        "what_is_refused_for_good_is_hopeless": "it hears of a refusal when the delivery is long over",
    }

    def __init__(self, settings: AlertmanagerSettings, surroundings: Surroundings) -> None:
        from streams.alertmanager.sender import Sender  # noqa: PLC0415 - whoever reads settings imports this module

        self._settings = settings
        self._meter = surroundings.meter
        self._book = self._new_book()
        self._senders = [Sender(url, settings, self._meter) for url in settings.urls]
        self._untold = 0
        self._task: asyncio.Task[None] | None = None
        self._measure()

    @classmethod
    def make(cls, settings: AlertmanagerSettings, surroundings: Surroundings) -> Self:
        """Read the certificates; Alertmanagers need not be up."""
        return cls(settings, surroundings)

    async def start(self) -> None:
        """Begin to send."""
        for sender in self._senders:
            sender.start()
        self._task = asyncio.create_task(self._run(), name="alerts")

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Change what is open."""
        self._book.take(findings, time.time())
        self._measure()
        return Delivery.DELIVERED

    async def restart(self) -> None:
        """Forget what is open, and be silent until it is known again."""
        self._book = self._new_book()
        self._untold = 0
        for sender in self._senders:
            sender.clear()

    async def caught_up(self) -> None:
        """Tell what is open."""
        self._book.catch_up(time.time())
        self._tell()

    async def close(self) -> None:
        """Send what waits, and nothing of what is open: whoever comes next goes on with that."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        self._tell()
        await asyncio.gather(*(sender.close() for sender in self._senders))

    def forget(self) -> None:
        """Take away what it showed; what is open ends for Alertmanager after four resends of silence."""
        for sender in self._senders:
            sender.forget()
        for name in ("flowhawk_alerts_open", "flowhawk_alerts_waiting"):
            self._meter.put(name, 0)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.interval_seconds)
            self._tell()

    def _tell(self) -> None:
        units = self._book.due(time.time())
        for sender in self._senders:
            sender.offer(units)
        self._measure()

    def _measure(self) -> None:
        book = self._book
        self._meter.put("flowhawk_alerts_open", book.open)
        self._meter.put("flowhawk_alerts_waiting", book.waiting)
        self._meter.add("flowhawk_alerts_untold_total", book.untold - self._untold)
        self._untold = book.untold

    def _new_book(self) -> "Book":
        from streams.alertmanager.book import Book  # noqa: PLC0415 - whoever reads settings imports this module

        return Book(self._settings)
