"""The sink with real Alertmanagers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from detectors.finding import Finding
from streams.alertmanager.settings import AlertmanagerSettings
from streams.metrics import Metrics
from streams.sinks import Delivery, Surroundings
from streams.sinks.alertmanager import Alertmanager
from tests.monitoring.servers import AlertmanagerServer, Received
from tests.monitoring.timeline import quick_alertmanager
from tests.streams.alertmanager.made import finding
from tests.streams.sinks.ends import End

BCRYPT = "$2b$04$FlowhawkTestsSaltOnly.gOpIaoFt2jrVXx70OVTp89eG1rF5qfG"
"""The words "correct horse", as Alertmanager keeps passwords."""

WRONG = "battery staple"
QUICK = {"interval_seconds": 0.05, "resend_seconds": 0.5}


class Receiver(End):
    """Whoever stands where an Alertmanager would, and shows what it was sent."""

    def __init__(self, received: Received) -> None:
        self._metrics = Metrics()
        settings = AlertmanagerSettings.model_validate({"urls": [received.url], **QUICK})
        super().__init__(settings, Surroundings(Console(quiet=True), self._metrics))
        self._received = received

    async def heard(self) -> str:
        await until(self._everything_is_sent)
        sent = [each for body in self._received.bodies for each in body]
        return "\n".join(each["annotations"]["summary"] + json.dumps(each) for each in sent)

    def _everything_is_sent(self) -> bool:
        waiting = self._metrics.value("flowhawk_alerts_waiting")
        name = {"alertmanager": self._received.url.removeprefix("http://")}
        return waiting == self._metrics.value("flowhawk_alertmanager_queue_length", name) == 0


@asynccontextmanager
async def other_end(folder: Path) -> AsyncIterator[End]:
    del folder
    with Received() as received:
        yield Receiver(received)


@asynccontextmanager
async def telling(*servers: AlertmanagerServer, **others: Any) -> AsyncIterator[tuple[Alertmanager, Metrics]]:
    """Give a sink that has caught up with an empty topic."""
    metrics = Metrics()
    settings = AlertmanagerSettings.model_validate({"urls": [each.url for each in servers], **QUICK, **others})
    sink = Alertmanager.make(settings, Surroundings(Console(quiet=True), metrics))
    await sink.start()
    await sink.restart()
    await sink.caught_up()
    try:
        yield sink, metrics
    finally:
        await sink.close()


async def until(holds: Callable[[], Any], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - a server in another process tells nobody
            await asyncio.sleep(0.05)


def hosts(server: AlertmanagerServer) -> dict[str, str]:
    """Return the severity of each host's alert."""
    return {each["labels"].get("host", "-"): each["labels"]["severity"] for each in server.alerts()}


async def test_every_alertmanager_is_told_and_one_that_is_away_delays_none(tmp_path: Path) -> None:
    with AlertmanagerServer(tmp_path / "one") as one, AlertmanagerServer(tmp_path / "two") as two:
        two.stop()
        async with telling(one, two) as (sink, metrics):
            assert await sink.deliver([finding("a")]) is Delivery.DELIVERED
            await until(lambda: hosts(one) == {"host-a": "medium"})
            two.start()
            await until(lambda: hosts(two) == {"host-a": "medium"})
            await sink.deliver([finding("a", severity="critical")])
            await until(lambda: hosts(one) == hosts(two) == {"host-a": "critical"})
            await sink.deliver([finding("a", severity="critical", status="closed")])
            await until(lambda: hosts(one) == hosts(two) == {})
            away = {"alertmanager": two.url.removeprefix("http://")}
            assert metrics.value("flowhawk_alertmanager_errors_total", away) > 0


async def test_an_alert_goes_on_until_nobody_says_so_any_more(tmp_path: Path) -> None:
    with AlertmanagerServer(tmp_path) as server:
        async with telling(server) as (sink, _):
            await sink.deliver([finding("a")])
            await until(lambda: hosts(server) == {"host-a": "medium"})
            (first,) = server.alerts()
            await until(lambda: server.alerts()[0]["endsAt"] > first["endsAt"])
            assert server.alerts()[0]["startsAt"] == first["startsAt"]
        # Four times 0.5 s after the last word.
        await until(lambda: hosts(server) == {})


async def test_it_logs_in_where_that_is_asked_for(tmp_path: Path) -> None:
    with AlertmanagerServer(tmp_path / "am", web={"basic_auth_users": {"me": BCRYPT}}) as server:
        (tmp_path / "password").write_text("correct horse\n")
        async with telling(server, username="me", password_file=tmp_path / "password") as (sink, metrics):
            await sink.deliver([finding("a")])
            name = {"alertmanager": server.url.removeprefix("http://")}
            await until(lambda: metrics.value("flowhawk_alertmanager_sent_total", name) > 0)
        async with telling(server, username="me", password=WRONG) as (sink, metrics):
            await sink.deliver([finding("a")])
            await until(lambda: metrics.value("flowhawk_alertmanager_errors_total", name) > 0)
            assert metrics.value("flowhawk_alertmanager_sent_total", name) == 0


def flood(begin: int, count: int) -> list[Finding]:
    severities = ("low", "medium", "high", "critical")
    return [finding(str(number), severity=severities[number % 4]) for number in range(begin, begin + count)]


async def test_a_flood_of_a_hundred_thousand_findings_leaves_alertmanager_alive(tmp_path: Path) -> None:
    with Received() as somebody, AlertmanagerServer(tmp_path, quick_alertmanager(somebody.url)) as server:
        async with telling(server, open_alerts=500, new_alerts_per_interval=50) as (sink, metrics):
            for begin in range(0, 100_000, 500):
                assert await sink.deliver(flood(begin, 500)) is Delivery.DELIVERED
                await asyncio.sleep(0)
            await until(lambda: len(server.alerts()) == 501)
            named = [each["labels"]["alertname"] for each in server.alerts()]
            assert named.count("FlowhawkFindingsSurge") == 1
            assert metrics.value("flowhawk_alerts_open") == 500
            assert metrics.value("flowhawk_alerts_waiting") == 2500
            assert metrics.value("flowhawk_alerts_untold_total") == 100_000 - 3000
            name = {"alertmanager": server.url.removeprefix("http://")}
            assert metrics.value("flowhawk_alertmanager_dropped_total", name) == 0
            assert metrics.value("flowhawk_alertmanager_errors_total", name) == 0
            await until(lambda: any("FlowhawkFindingsSurge" in body["groupKey"] for body in somebody.bodies))
            # A message for each severity, and one about the flood itself, whatever number of hosts is in it.
            assert len({body["groupKey"] for body in somebody.bodies}) <= 5


async def test_what_it_may_take_back_is_taken_back_at_once(tmp_path: Path) -> None:
    with AlertmanagerServer(tmp_path) as server:
        async with telling(server, resend_seconds=600) as (sink, _):
            await sink.deliver([finding("a", provisional=True)])
            await until(lambda: hosts(server) == {"host-a": "medium"})
            await sink.deliver([finding("a", provisional=True, status="retracted")])
            began = time.monotonic()
            await until(lambda: hosts(server) == {}, seconds=30)
            assert time.monotonic() - began < 30
