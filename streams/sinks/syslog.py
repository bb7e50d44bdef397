"""Findings as messages of syslog, over UDP, TCP or TLS."""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Final, Self

import structlog

from detectors.finding import Finding
from streams.formats import formats
from streams.formats.syslog import Header, counted, message
from streams.sinks.contract import Delivery, Sink, Surroundings
from streams.sinks.siem_settings import SyslogSettings

log = structlog.get_logger(__name__)


class Syslog(Sink):
    """Sends a message for each state of each finding.

    Syslog has no receipts. What was on its way when a connection broke is sent again as far as that was noticed.

    Parameters
    ----------
    settings
        Where to, and how.

    Raises
    ------
    streams.errors.SettingsError
        When a certificate that the settings name cannot be used.
    """

    name = "syslog"
    settings = SyslogSettings
    skipped_checks: ClassVar[Mapping[str, str]] = {
        "what_is_refused_for_good_is_hopeless": "syslog has no receipts, and so no refusals"
    }
    # The settings say whether it is.
    hears_observed = True

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings
        self._format = formats()[settings.format]
        self._header = Header(settings.hostname or socket.gethostname(), settings.facility, settings.enterprise)
        self._line: _Line = _Datagrams(settings) if settings.transport == "udp" else _Connection(settings)

    @classmethod
    def make(cls, settings: SyslogSettings, surroundings: Surroundings) -> Self:
        """Make it; nobody need be reachable yet."""
        del surroundings
        return cls(settings)

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Send the messages, on a new connection where the last one is gone."""
        wanted = self._settings.of(findings)
        messages = [message(each, self._format.written(each), self._header) for each in wanted]
        if not messages:
            return Delivery.DELIVERED
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                await self._line.send(messages)
        except OSError as error:
            await self._line.close(at_once=True)
            where = f"{self._settings.host}:{self._settings.reached_at}"
            reason = str(error) or type(error).__name__
            log.warning("a syslog collector cannot be reached", sink=self.name, at=where, reason=reason)
            return Delivery.RETRY
        return Delivery.DELIVERED

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()


class _Line(ABC):
    """A way to a collector."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings

    @abstractmethod
    async def send(self, messages: Sequence[bytes]) -> None:
        """Send messages; raises OSError where that cannot be done."""

    @abstractmethod
    async def close(self, *, at_once: bool = False) -> None:
        """Let go of the socket, if there is one; at once where what was not sent yet is not to be."""


class _Connection(_Line):
    """A stream, on which the length of each message stands before it."""

    def __init__(self, settings: SyslogSettings) -> None:
        super().__init__(settings)
        self._tls = settings.tls("sinks.syslog") if settings.transport == "tls" else None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, messages: Sequence[bytes]) -> None:
        if self._streams is None:
            self._streams = await self._connected()
        reader, writer = self._streams
        # Collectors say nothing, so an end means that they are gone; writing would only fail the next time.
        if reader.at_eof() or writer.is_closing():
            await self.close()
            await self.send(messages)
            return
        writer.write(b"".join(map(counted, messages)))
        await writer.drain()

    async def close(self, *, at_once: bool = False) -> None:
        if self._streams is None:
            return
        _, writer = self._streams
        self._streams = None
        if at_once:
            writer.transport.abort()
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._settings.timeout_seconds):
                await writer.wait_closed()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        settings = self._settings
        reader, writer = await asyncio.open_connection(settings.host, settings.reached_at, ssl=self._tls)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A collector that went without a word would else be written to for a quarter of an hour.
            milliseconds = int(settings.timeout_seconds * 1000)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        return reader, writer


_LONGEST_DATAGRAM: Final = 65_507
"""What IPv4 and UDP leave of 64 KiB."""


class _Datagrams(_Line):
    """A message in a datagram."""

    def __init__(self, settings: SyslogSettings) -> None:
        super().__init__(settings)
        self._socket: socket.socket | None = None

    async def send(self, messages: Sequence[bytes]) -> None:
        if self._socket is None:
            self._socket = await self._connected()
        loop = asyncio.get_running_loop()
        for each in messages:
            if len(each) > _LONGEST_DATAGRAM:
                log.error("a message is longer than a datagram may be", sink=Syslog.name, bytes=len(each))
            else:
                await loop.sock_sendall(self._socket, each)

    async def close(self, *, at_once: bool = False) -> None:
        del at_once
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _connected(self) -> socket.socket:
        """Make a socket that knows its other end, so that refusals are told."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._settings.host, self._settings.reached_at, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        try:
            await loop.sock_connect(made, address)
        except OSError:
            made.close()
            raise
        return made
