import asyncio
import base64
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from streams.alertmanager.alerts import Alert
from streams.alertmanager.sender import Sender, headers_of, tls_of
from streams.alertmanager.settings import AlertmanagerSettings
from streams.errors import SettingsError
from streams.metrics import Metrics
from tests.monitoring.servers import Received
from tests.streams.alertmanager.made import NOW, settings
from tests.streams.programs import free_port

WORD = "it is"


def made(name: str, resolved_at: float | None = None) -> Alert:
    return Alert((("alertname", name),), {"summary": name}, NOW, resolved_at)


def value(metrics: Metrics, name: str, sender: Sender) -> float:
    return metrics.value(f"flowhawk_alertmanager_{name}", {"alertmanager": sender.name})


@asynccontextmanager
async def sending(of: AlertmanagerSettings) -> AsyncIterator[tuple[Sender, Metrics]]:
    metrics = Metrics()
    sender = Sender(of.urls[0], of, metrics)
    sender.start()
    try:
        yield sender, metrics
    finally:
        await sender.close()


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - a server in another thread tells nobody
            await asyncio.sleep(0.005)


def names(body: list[dict[str, Any]]) -> list[str]:
    return [each["labels"]["alertname"] for each in body]


async def test_alerts_are_posted_in_order_and_in_batches() -> None:
    with Received() as received:
        async with sending(settings(urls=[received.url], batch_size=3)) as (sender, metrics):
            sender.offer((made(str(number)),) for number in range(7))
            assert value(metrics, "queue_length", sender) == 7
            await until(lambda: value(metrics, "sent_total", sender) == 7)
            assert value(metrics, "queue_length", sender) == 0
            assert value(metrics, "last_success_timestamp_seconds", sender) > NOW - 1e9
        assert [names(body) for body in received.bodies] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


async def test_what_belongs_together_comes_in_one_request() -> None:
    with Received() as received:
        async with sending(settings(urls=[received.url], batch_size=3)) as (sender, metrics):
            sender.offer([(made("a"),), (made("b"),), (made("c", NOW), made("d"))])
            await until(lambda: value(metrics, "sent_total", sender) == 4)
        assert [names(body) for body in received.bodies] == [["a", "b"], ["c", "d"]]


async def test_while_it_is_slow_only_the_last_state_of_an_alert_waits() -> None:
    with Received() as received:
        received.pause.clear()
        async with sending(settings(urls=[received.url])) as (sender, metrics):
            sender.offer([(made("first"),)])
            await until(lambda: not sender._queue)
            sender.offer([(made("a"),), (made("b"), made("c"))])
            sender.offer([(made("b", NOW),)])
            assert value(metrics, "queue_length", sender) == 3
            received.pause.set()
            await until(lambda: value(metrics, "sent_total", sender) == 4)
        assert [names(body) for body in received.bodies] == [["first"], ["a", "c", "b"]]


async def test_of_too_many_the_oldest_are_dropped_and_counted() -> None:
    of = settings(urls=["http://127.0.0.1:9"], queue_capacity=256)
    metrics = Metrics()
    sender = Sender(of.urls[0], of, metrics)
    sender.offer((made(str(number)),) for number in range(1000))
    assert value(metrics, "dropped_total", sender) == 744
    assert value(metrics, "queue_length", sender) == 256
    assert next(dict(labels)["alertname"] for labels in sender._queue) == "744"


async def test_a_request_that_fails_is_counted_said_and_not_made_again() -> None:
    with Received() as received, structlog.testing.capture_logs() as captured:
        received.status = 500
        async with sending(settings(urls=[received.url])) as (sender, metrics):
            for number in range(3):
                sender.offer([(made(str(number)),)])
                await until(lambda number=number: value(metrics, "errors_total", sender) == number + 1)  # type: ignore[misc]  # bound now
            received.status = 200
            sender.offer([(made("again"),)])
            await until(lambda: value(metrics, "sent_total", sender) == 1)
        assert [names(body) for body in received.bodies] == [["0"], ["1"], ["2"], ["again"]]
    assert [entry["event"] for entry in captured] == [
        *["an Alertmanager does not take alerts"] * 3,
        "an Alertmanager takes alerts again",
    ]
    assert captured[0]["error"].startswith("it answers 500")


async def test_one_that_is_down_or_does_not_answer_counts_as_failing() -> None:
    async with sending(settings(urls=[f"http://127.0.0.1:{free_port()}"])) as (sender, metrics):
        sender.offer([(made("a"),)])
        await until(lambda: value(metrics, "errors_total", sender) == 1)
    with Received() as received:
        received.pause.clear()
        async with sending(settings(urls=[received.url], timeout_seconds=0.05)) as (sender, metrics):
            sender.offer([(made("a"),)])
            await until(lambda: value(metrics, "errors_total", sender) == 1)
            received.pause.set()


async def test_what_waits_is_sent_before_it_ends() -> None:
    with Received() as received:
        async with sending(settings(urls=[received.url])) as (sender, _):
            sender.offer([(made("a"),)])
        assert [names(body) for body in received.bodies] == [["a"]]


async def test_a_password_that_is_changed_in_its_file_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    with Received() as received:
        async with sending(settings(urls=[received.url], bearer_token_file=path)) as (sender, metrics):
            sender.offer([(made("a"),)])
            await until(lambda: value(metrics, "sent_total", sender) == 1)
            path.write_text("two\n")
            sender.offer([(made("b"),)])
            await until(lambda: value(metrics, "sent_total", sender) == 2)
            path.unlink()
            sender.offer([(made("c"),)])
            await until(lambda: value(metrics, "errors_total", sender) == 1)
        assert [headers["Authorization"] for _, headers, _ in received.requests] == ["Bearer one", "Bearer two"]


def test_headers_hold_login_and_what_was_given(tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("X-Scope-OrgID: ours\nX-Number: 7\n")
    basic = headers_of(settings(username="me", headers={"X-One": "1"}, password=WORD))
    assert basic == {"X-One": "1", "Authorization": f"Basic {base64.b64encode(f'me:{WORD}'.encode()).decode()}"}
    assert headers_of(settings(headers_file=tmp_path / "headers")) == {"X-Scope-OrgID": "ours", "X-Number": "7"}
    (tmp_path / "headers").write_text("secret")
    with pytest.raises(SettingsError, match="holds no headers") as caught:
        headers_of(settings(headers_file=tmp_path / "headers"))
    assert "secret" not in str(caught.value)


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.pem cannot be used: .*No such file"):
        tls_of(settings(tls_ca_file=tmp_path / "none.pem"))


async def test_certificates_of_both_sides_are_checked(tmp_path: Path) -> None:
    certificate(tmp_path)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cert)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    own = {"tls_certificate_file": cert, "tls_key_file": key}
    with Received(context) as received:
        async with sending(settings(urls=[received.url], tls_ca_file=cert, **own)) as (sender, metrics):
            sender.offer([(made("a"),)])
            await until(lambda: value(metrics, "sent_total", sender) == 1)
        async with sending(settings(urls=[received.url], **own)) as (sender, metrics):
            sender.offer([(made("b"),)])
            await until(lambda: value(metrics, "errors_total", sender) == 1)
        assert [names(body) for body in received.bodies] == [["a"]]


def certificate(folder: Path) -> None:
    """Make a certificate of 127.0.0.1 that vouches for itself."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=flowhawk -addext subjectAltName=IP:127.0.0.1"
    arguments = [*command.split(), "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(arguments, check=True, capture_output=True)
