"""Findings posted to a web server, signed."""

import hmac
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Self

import aiohttp
import structlog
from yarl import URL

from detectors.finding import Finding
from streams.formats import formats
from streams.formats.facts import product_version
from streams.sinks.contract import Delivery, Sink, Surroundings
from streams.sinks.siem_settings import WebhookSettings

log = structlog.get_logger(__name__)

SIGNATURE_HEADER: Final = "X-Flowhawk-Signature"
TIMESTAMP_HEADER: Final = "X-Flowhawk-Timestamp"

_REQUEST_TIMEOUT, _TOO_EARLY, _TOO_MANY_REQUESTS = 408, 425, 429
_AGAIN: Final = frozenset({_REQUEST_TIMEOUT, _TOO_EARLY, _TOO_MANY_REQUESTS})
_LONGEST_WAIT_SECONDS: Final = 3600.0
"""A server that asks for more is asked again all the same: nothing is kept for longer than the topic keeps it."""


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """Sign a body, and when it was sent, so that nobody can send it again later.

    >>> signature(b"key", "1767603840", b"[]")
    'sha256=a7dbcc6a02b284eab04ccd394b1d7dff7969f0b54ecc0d983c914efc596111af'
    """
    return f"sha256={hmac.new(key, timestamp.encode() + b'.' + body, 'sha256').hexdigest()}"


class Webhook(Sink):
    """Posts findings as a JSON array, or in whatever format is set.

    Parameters
    ----------
    settings
        Where to, and how.

    Raises
    ------
    streams.errors.SettingsError
        When a file that the settings name cannot be used.
    """

    name = "webhook"
    settings = WebhookSettings
    # The settings say whether it is.
    hears_observed = True

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._format = formats()[settings.format]
        self._key = settings.key()
        self._further = settings.all_headers()
        self._tls = settings.tls("sinks.webhook")
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0.0
        # The path, or what is before the @, may be all that keeps others from posting there too.
        self._shown = str(URL(settings.url).origin())

    @classmethod
    def make(cls, settings: WebhookSettings, surroundings: Surroundings) -> Self:
        """Make it; nobody need be reachable yet."""
        del surroundings
        return cls(settings)

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Post; an answer of 2xx is a receipt, 429, 5xx and none at all call for another try."""
        wanted = self._settings.of(findings)
        if wanted and time.monotonic() < self._not_before:
            return Delivery.RETRY
        outcome = Delivery.DELIVERED
        for body in self._bodies(wanted):
            delivery = await self._post(body)
            if delivery is Delivery.RETRY:
                return delivery
            if delivery is Delivery.HOPELESS:
                outcome = delivery
        return outcome

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _bodies(self, findings: Sequence[Finding]) -> Iterator[bytes]:
        for begin in range(0, len(findings), self._settings.batch):
            yield self._format.together(findings[begin : begin + self._settings.batch])

    async def _post(self, body: bytes) -> Delivery:
        try:
            async with self._connected().post(
                self._settings.url, data=body, headers=self._headers(body), allow_redirects=False
            ) as answer:
                # A connection is used again only when the answer was read.
                await answer.read()
                return self._meant(answer)
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            log.warning("a webhook cannot be reached", sink=self.name, at=self._shown, reason=reason)
            return Delivery.RETRY

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls),
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds),
                headers=self._further,
            )
        return self._session

    def _headers(self, body: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": self._format.content_type,
            "User-Agent": f"flowhawk/{product_version()}",
            TIMESTAMP_HEADER: timestamp,
        }
        return headers if self._key is None else headers | {SIGNATURE_HEADER: signature(self._key, timestamp, body)}

    def _meant(self, answer: aiohttp.ClientResponse) -> Delivery:
        if 200 <= answer.status < 300:
            return Delivery.DELIVERED
        again = answer.status in _AGAIN or answer.status >= 500
        log.warning(
            "a webhook does not take findings",
            sink=self.name,
            at=self._shown,
            status=answer.status,
            again=again,
        )
        if not again:
            return Delivery.HOPELESS
        self._not_before = time.monotonic() + _asked_to_wait(answer.headers.get("Retry-After"))
        return Delivery.RETRY


def _asked_to_wait(text: str | None) -> float:
    """Return the seconds that a Retry-After asks for, which is a number of them or a time; 0 where it is neither.

    >>> [_asked_to_wait(text) for text in ("120", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", None)]
    [120.0, 0.0, 0.0, 0.0]
    """
    if text is None:
        return 0.0
    try:
        seconds = float(text) if text.isdecimal() else (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS)
