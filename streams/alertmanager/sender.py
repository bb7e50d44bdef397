"""One Alertmanager: a queue and a loop of its own, so that none waits for another."""

import asyncio
import base64
import ssl
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog
import yaml

from streams.alertmanager.alerts import Alert, Labels, written
from streams.alertmanager.book import Unit
from streams.alertmanager.settings import AlertmanagerSettings
from streams.declared_metrics import DECLARED
from streams.errors import FlowhawkError, SettingsError
from streams.sinks.contract import Meter

if TYPE_CHECKING:
    from aiohttp import ClientSession

log = structlog.get_logger(__name__)

_LATENCY: Final = "flowhawk_alertmanager_latency_seconds"

_DRAIN_SECONDS: Final = 2.0
"""How long what waits may take to be sent when the service stops."""

_ANSWER_BYTES: Final = 300
"""What is shown of the answer of one that takes no alerts."""

_MISSES: Final = 4
"""How many times in a row an alert may fail to arrive before Alertmanager takes it for resolved."""


class Sender:
    """Sends alerts to one Alertmanager.

    The queue holds the last state of each alert. A request that fails is not made again: what is open, and what was
    resolved lately, is sent again anyway.

    Parameters
    ----------
    url
        Where it listens.
    settings
        How to log in, and how much to send at once.
    meter
        Where to count.
    """

    def __init__(self, url: str, settings: AlertmanagerSettings, meter: Meter) -> None:
        parts = urlsplit(url)
        self.name = f"{parts.netloc}{parts.path}"
        self._url = f"{url}/api/v2/alerts"
        self._settings = settings
        self._meter = meter
        self._queue: OrderedDict[Labels, tuple[Alert, bool]] = OrderedDict()
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tls = tls_of(settings)
        self._closing = False
        self._failing = False

    def start(self) -> None:
        """Begin to send."""
        self._put("queue_capacity", self._settings.queue_capacity)
        self._put("queue_length", 0)
        self._put("last_success_timestamp_seconds", 0)
        for counter in ("sent_total", "errors_total", "dropped_total"):
            self._add(counter, 0)
        self._meter.timing(_LATENCY, self.name)
        self._task = asyncio.create_task(self._run(), name=f"alertmanager {self.name}")

    def offer(self, units: Iterable[Unit]) -> None:
        """Put alerts behind those that wait; what waits of the same alert is out of date."""
        for unit in units:
            for number, each in enumerate(unit, 1):
                self._queue.pop(each.labels, None)
                self._queue[each.labels] = each, number < len(unit)
        dropped = 0
        while len(self._queue) > self._settings.queue_capacity:
            self._queue.popitem(last=False)
            dropped += 1
        if dropped:
            self._add("dropped_total", dropped)
        self._put("queue_length", len(self._queue))
        if self._queue:
            self._filled.set()

    def clear(self) -> None:
        """Forget what waits."""
        self._queue.clear()
        self._put("queue_length", 0)

    def forget(self) -> None:
        """Take away all that it showed."""
        for name, (_, _, labels) in DECLARED.items():
            if labels == ("alertmanager",):
                self._meter.forget(name, self.name)

    async def close(self) -> None:
        """Send what waits, if that takes no longer than a moment, and end."""
        task, self._task = self._task, None
        if task is None:
            return
        self._closing = True
        self._filled.set()
        await asyncio.wait({task}, timeout=_DRAIN_SECONDS)
        task.cancel()
        await asyncio.wait({task})
        if self._queue:
            self._add("dropped_total", len(self._queue))
            self.clear()

    async def _run(self) -> None:
        from aiohttp import ClientSession, ClientTimeout, TCPConnector  # noqa: PLC0415 - whoever reads settings imports this

        timeout = ClientTimeout(total=self._settings.timeout_seconds)
        async with ClientSession(timeout=timeout, connector=TCPConnector(ssl=self._tls, limit=1)) as session:
            while self._queue or not self._closing:
                if not self._queue:
                    self._filled.clear()
                    await self._filled.wait()
                    continue
                await self._send(session, self._batch())
                self._put("queue_length", len(self._queue))

    def _batch(self) -> list[Alert]:
        """Take a batch off the queue; what must come together is not torn apart."""
        batch: list[Alert] = []
        unit: list[Alert] = []
        for each, more in self._queue.values():
            unit.append(each)
            if len(batch) + len(unit) > self._settings.batch_size and batch:
                break
            if not more:
                batch += unit
                unit = []
        else:
            batch += unit
        for each in batch:
            del self._queue[each.labels]
        return batch

    async def _send(self, session: "ClientSession", alerts: list[Alert]) -> None:
        ends_at = time.time() + _MISSES * max(self._settings.interval_seconds, self._settings.resend_seconds)
        begun = time.monotonic()
        try:
            wrong = await self._post(session, written(alerts, ends_at))
        except FlowhawkError as error:
            wrong = str(error)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with one request, the next is made
            wrong = str(error) or type(error).__name__
        self._meter.timing(_LATENCY, self.name).observe(time.monotonic() - begun)
        if wrong is None:
            self._add("sent_total", len(alerts))
            self._put("last_success_timestamp_seconds", time.time())
            if self._failing:
                log.info("an Alertmanager takes alerts again", alertmanager=self.name)
            self._failing = False
        else:
            self._add("errors_total", len(alerts))
            self._say(wrong, len(alerts))

    async def _post(self, session: "ClientSession", body: bytes) -> str | None:
        """Make a request; return what is wrong, None where nothing is."""
        headers = {**await asyncio.to_thread(headers_of, self._settings), "Content-Type": "application/json"}
        async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            if 200 <= response.status < 300:
                await response.read()
                return None
            text = (await response.content.read(_ANSWER_BYTES)).decode(errors="replace")
            return f"it answers {response.status} {response.reason or ''} {text}".strip()

    def _say(self, wrong: str, count: int) -> None:
        self._failing = True
        log.warning("an Alertmanager does not take alerts", alertmanager=self.name, error=wrong, alerts=count)

    def _add(self, counter: str, amount: float) -> None:
        self._meter.add(f"flowhawk_alertmanager_{counter}", amount, self.name)

    def _put(self, gauge: str, value: float) -> None:
        self._meter.put(f"flowhawk_alertmanager_{gauge}", value, self.name)


def headers_of(settings: AlertmanagerSettings) -> dict[str, str]:
    """Return the headers of a request, with secrets as their files hold them now.

    Raises
    ------
    streams.errors.SettingsError
        When a file cannot be read, or holds no headers.
    """
    headers = {name: value.get_secret_value() for name, value in (settings.headers or {}).items()}
    if settings.headers_file is not None:
        headers |= _headers_in(settings.headers_file)
    password, token = settings.secret("password"), settings.secret("bearer_token")
    if password is not None:
        login = base64.b64encode(f"{settings.username}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {login}"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _headers_in(path: Path) -> dict[str, str]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"headers_file: {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError):
        # What is wrong with it is not told, since that would show what is in it.
        document = None
    if not isinstance(document, dict):
        raise SettingsError(f"headers_file: {path} holds no headers; write one a line, such as X-Scope-OrgID: ours")
    return {str(name): str(value) for name, value in document.items()}


def tls_of(settings: AlertmanagerSettings) -> ssl.SSLContext:
    """Make the context of protected connections.

    Raises
    ------
    streams.errors.SettingsError
        When a certificate or key cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file)
        if settings.tls_certificate_file is not None:
            context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
    except OSError as error:
        files = (settings.tls_ca_file, settings.tls_certificate_file, settings.tls_key_file)
        named = ", ".join(str(file) for file in files if file is not None)
        raise SettingsError(f"sinks.alertmanager.tls_*_file: {named} cannot be used: {error}") from error
    return context
