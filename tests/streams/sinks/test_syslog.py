import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from streams.errors import SettingsError
from streams.formats import formats
from streams.sinks import Delivery
from streams.sinks.siem_settings import SyslogSettings
from streams.sinks.syslog import Syslog
from tests.streams.certificates import certificates
from tests.streams.formats.golden import findings
from tests.streams.sinks.ends import End
from tests.streams.syslog_messages import Message, parsed

CEF = formats()["cef"]
WAIT_SECONDS = 30
SOME = findings()[:9]


class Collector:
    """Reads messages from its connections, by the length before each."""

    def __init__(self) -> None:
        self.port = 0
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []

    async def read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while length := (await reader.readuntil(b" ")).strip():
                self.messages.put_nowait(parsed(await reader.readexactly(int(length))))
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async def next(self, count: int) -> list[Message]:
        async with asyncio.timeout(WAIT_SECONDS):
            return [await self.messages.get() for _ in range(count)]

    async def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()
            await writer.wait_closed()
        self.writers.clear()


class CollectorEnd(End):
    """A collector that may be away."""

    def __init__(self) -> None:
        self._here = AsyncExitStack()
        self._texts: list[str] = []
        self._port = 0

    async def come(self) -> None:
        collector = await self._here.enter_async_context(collecting(port=self._port))
        self._port = collector.port
        self._collector = collector
        super().__init__(SyslogSettings(host="127.0.0.1", port=self._port, transport="tcp", format="flowhawk"))

    async def heard(self) -> str:
        # On loopback what was sent arrives soon, but not at once; the last of it is marked.
        async with asyncio.timeout(WAIT_SECONDS):
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(b"%d %s" % (len(MARK), MARK))
            await writer.drain()
            while (message := await self._collector.messages.get()).text != b"mark":
                self._texts.append(json.loads(message.text)["summary"] + message.kind)
            writer.close()
        return "\n".join(self._texts)

    async def fail(self) -> None:
        await self._here.aclose()

    async def recover(self) -> None:
        await self.come()


MARK = b'<134>1 2026-01-05T09:00:00Z host flowhawk - mark [x@1 id="x"] mark'


@asynccontextmanager
async def other_end(_: Path) -> AsyncIterator[End]:
    end = CollectorEnd()
    await end.come()
    try:
        yield end
    finally:
        await end.fail()


@asynccontextmanager
async def collecting(tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Collector]:
    collector = Collector()
    server = await asyncio.start_server(collector.read, "127.0.0.1", port, ssl=tls)
    collector.port = server.sockets[0].getsockname()[1]
    try:
        yield collector
    finally:
        server.close()
        await collector.hang_up()
        await server.wait_closed()


def syslog(port: int, **settings: Any) -> Syslog:
    return Syslog(SyslogSettings(host="127.0.0.1", port=port, **{"hostname": "flowhawk.example", **settings}))


@pytest.fixture
def datagrams() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(WAIT_SECONDS)
        yield listening


async def test_every_datagram_is_a_message(datagrams: socket.socket) -> None:
    sink = syslog(datagrams.getsockname()[1], transport="udp")
    assert await sink.deliver(SOME) is Delivery.DELIVERED
    heard = [parsed(datagrams.recv(65_535)) for _ in SOME]
    assert [each.text for each in heard] == [CEF.written(each) for each in SOME]
    assert [each.data["id"] for each in heard] == [each.id for each in SOME]
    await sink.close()


async def test_a_message_longer_than_a_datagram_is_left_out_and_said(datagrams: socket.socket) -> None:
    long = SOME[0].model_copy(update={"summary": "x" * 70_000})
    sink = syslog(datagrams.getsockname()[1], transport="udp")
    with capture_logs() as logs:
        assert await sink.deliver([long, SOME[1]]) is Delivery.DELIVERED
    assert [line["event"] for line in logs] == ["a message is longer than a datagram may be"]
    assert parsed(datagrams.recv(65_535)).data["id"] == SOME[1].id
    await sink.close()


async def test_datagrams_that_are_refused_are_another_try() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    sink = syslog(port, transport="udp")
    # A refusal is told when the next one is sent.
    assert await sink.deliver(SOME) is Delivery.RETRY
    await sink.close()


async def test_messages_on_a_connection_have_their_length_before_them() -> None:
    async with collecting() as collector:
        sink = syslog(collector.port, transport="tcp", facility="authpriv", enterprise=64_000)
        assert await sink.deliver(SOME) is Delivery.DELIVERED
        heard = await collector.next(len(SOME))
        await sink.close()
    assert [each.text for each in heard] == [CEF.written(each) for each in SOME]
    assert {(each.hostname, each.data_id, each.priority // 8) for each in heard} == {
        ("flowhawk.example", "flowhawk@64000", 10)
    }


async def test_one_connection_serves_many_batches() -> None:
    async with collecting() as collector:
        sink = syslog(collector.port, transport="tcp", format="ocsf")
        for each in SOME:
            assert await sink.deliver([each]) is Delivery.DELIVERED
        heard = await collector.next(len(SOME))
        assert len(collector.writers) == 1
        await sink.close()
    assert [each.text for each in heard] == [formats()["ocsf"].written(each) for each in SOME]


async def test_a_connection_that_the_collector_closed_is_made_anew() -> None:
    async with collecting() as collector:
        sink = syslog(collector.port, transport="tcp")
        assert await sink.deliver(SOME[:1]) is Delivery.DELIVERED
        await collector.next(1)
        (connection,) = [sink._line._streams]  # type: ignore[attr-defined]  # the only sign that the end has arrived
        await collector.hang_up()
        async with asyncio.timeout(WAIT_SECONDS):
            await connection[0].read()
        assert await sink.deliver(SOME[1:2]) is Delivery.DELIVERED
        assert [each.data["id"] for each in await collector.next(1)] == [SOME[1].id]
        await sink.close()


async def test_a_collector_that_is_away_gets_the_findings_when_it_is_back() -> None:
    async with collecting() as collector:
        port = collector.port
    sink = syslog(port, transport="tcp")
    assert await sink.deliver(SOME) is Delivery.RETRY
    async with collecting(port=port) as back:
        assert await sink.deliver(SOME) is Delivery.DELIVERED
        assert len(await back.next(len(SOME))) == len(SOME)
        await sink.close()


async def test_tls_is_checked_on_both_sides(tmp_path: Path) -> None:
    made = certificates(tmp_path, mutual=True)
    own = {"tls_ca_file": made.authority, "tls_certificate_file": made.client, "tls_key_file": made.client_key}
    async with collecting(made.server) as collector:
        stranger = syslog(collector.port)
        assert await stranger.deliver(SOME) is Delivery.RETRY
        await stranger.close()
        sink = syslog(collector.port, **own)
        assert await sink.deliver(SOME) is Delivery.DELIVERED
        assert [each.data["id"] for each in await collector.next(len(SOME))] == [each.id for each in SOME]
        await sink.close()


async def test_a_collector_that_says_nothing_to_a_handshake_is_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = syslog(silent.getsockname()[1], timeout_seconds=0.2)
        assert await sink.deliver(SOME) is Delivery.RETRY
        await sink.close()


async def test_a_collector_that_does_not_read_is_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unread:
        sink = syslog(unread.getsockname()[1], transport="tcp", timeout_seconds=0.5)
        large = SOME[0].model_copy(update={"summary": "x" * 20_000_000})
        assert await sink.deliver([large]) is Delivery.RETRY
        await sink.close()


async def test_a_name_that_nobody_has_is_another_try() -> None:
    for transport in ("udp", "tcp"):
        sink = Syslog(SyslogSettings(host="collector.invalid", transport=transport))
        assert await sink.deliver(SOME) is Delivery.RETRY
        await sink.close()


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"sinks.syslog.tls_\*_file: .*missing cannot be used"):
        syslog(1, tls_ca_file=tmp_path / "missing")
