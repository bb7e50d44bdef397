import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from detectors.finding import Finding
from streams.errors import SettingsError
from streams.sinks import Delivery
from streams.sinks.siem_settings import WebhookSettings
from streams.sinks.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, Webhook
from tests.streams.certificates import certificates
from tests.streams.formats.golden import findings
from tests.streams.sinks.ends import End
from tests.streams.sinks.web_end import members, web_end
from tests.streams.web_server import Answer, WebServer, web_server


@asynccontextmanager
async def other_end(_: Path) -> AsyncIterator[End]:
    async with web_end(
        lambda url: WebhookSettings(url=url, observed=True), lambda body: members(body, None, "kind", "summary")
    ) as end:
        yield end


def webhook(server: WebServer, **settings: Any) -> Webhook:
    return Webhook(WebhookSettings(url=f"{server.url}/hook?token=hidden", **settings))


async def test_findings_are_posted_as_an_array() -> None:
    async with web_server() as server:
        sink = webhook(server, observed=True)
        assert await sink.deliver(findings()) is Delivery.DELIVERED
        await sink.close()
    (posted,) = server.posted
    assert posted.path == "/hook"
    assert posted.headers["Content-Type"] == "application/json"
    assert posted.headers["User-Agent"].startswith("flowhawk/")
    assert [Finding.model_validate(each) for each in json.loads(posted.body)] == findings()
    assert SIGNATURE_HEADER not in posted.headers


async def test_nothing_is_posted_where_there_is_nothing_to_tell() -> None:
    async with web_server() as server:
        sink = webhook(server, least_severity="critical")
        assert await sink.deliver([]) is Delivery.DELIVERED
        assert await sink.deliver(findings()[:1]) is Delivery.DELIVERED
        await sink.close()
    assert server.posted == []


async def test_the_signature_is_that_of_time_and_body(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("shared\n")
    async with web_server() as server:
        for given in ({"signing_key": "shared"}, {"signing_key_file": tmp_path / "secret"}):
            sink = webhook(server, **given)
            assert await sink.deliver(findings()[:1]) is Delivery.DELIVERED
            await sink.close()
    for posted in server.posted:
        timestamp = posted.headers[TIMESTAMP_HEADER]
        signed = timestamp.encode() + b"." + posted.body
        assert posted.headers[SIGNATURE_HEADER] == f"sha256={hmac.new(b'shared', signed, hashlib.sha256).hexdigest()}"
        assert abs(int(timestamp) - datetime.now(UTC).timestamp()) < 600


async def test_other_formats_headers_and_smaller_requests() -> None:
    async with web_server() as server:
        sink = webhook(server, format="cef", headers={"Authorization": "Bearer abc"}, batch=4)
        assert await sink.deliver(findings()[:10]) is Delivery.DELIVERED
        await sink.close()
    assert [posted.body.count(b"CEF:0|") for posted in server.posted] == [4, 4, 2]
    assert {posted.headers["Authorization"] for posted in server.posted} == {"Bearer abc"}
    assert {posted.headers["Content-Type"] for posted in server.posted} == {"text/plain; charset=utf-8"}


@pytest.mark.parametrize(
    ("status", "delivery"),
    [
        (200, Delivery.DELIVERED),
        (202, Delivery.DELIVERED),
        (204, Delivery.DELIVERED),
        (302, Delivery.HOPELESS),
        (400, Delivery.HOPELESS),
        (401, Delivery.HOPELESS),
        (404, Delivery.HOPELESS),
        (408, Delivery.RETRY),
        (413, Delivery.HOPELESS),
        (429, Delivery.RETRY),
        (500, Delivery.RETRY),
        (503, Delivery.RETRY),
    ],
)
async def test_answers_say_what_became_of_it(status: int, delivery: Delivery) -> None:
    async with web_server() as server:
        server.answers = [Answer(status, {"Location": "/elsewhere"} if status == 302 else {})]
        sink = webhook(server)
        assert await sink.deliver(findings()[:1]) is delivery
        await sink.close()
    assert [posted.path for posted in server.posted] == ["/hook"]


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_server_that_asks_for_time_is_given_it(form: str) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    async with web_server() as server:
        server.answers = [Answer(429, {"Retry-After": "3600" if form == "seconds" else later}), Answer()]
        sink = webhook(server)
        for _ in range(3):
            assert await sink.deliver(findings()[:1]) is Delivery.RETRY
        assert len(server.posted) == 1
        await sink.close()


async def test_without_being_asked_for_time_the_next_try_is_made() -> None:
    async with web_server() as server:
        server.answers = [
            Answer(503),
            Answer(503, {"Retry-After": "0"}),
            Answer(503, {"Retry-After": "later"}),
            Answer(),
        ]
        sink = webhook(server)
        tried = [await sink.deliver(findings()[:1]) for _ in range(4)]
        await sink.close()
    assert tried == [Delivery.RETRY, Delivery.RETRY, Delivery.RETRY, Delivery.DELIVERED]


async def test_a_refused_request_does_not_keep_back_the_next_one() -> None:
    async with web_server() as server:
        server.answers = [Answer(400), Answer()]
        sink = webhook(server, batch=1)
        assert await sink.deliver(findings()[:3]) is Delivery.HOPELESS
        await sink.close()
    assert len(server.posted) == 3


HIDDEN = "hidden"


async def test_nobody_there_is_another_try_and_no_secret_is_in_the_log() -> None:
    async with web_server() as server:
        pass
    sink = webhook(server, headers={"Authorization": "Bearer hidden"}, signing_key=HIDDEN)
    with capture_logs() as logs:
        assert await sink.deliver(findings()[:1]) is Delivery.RETRY
    await sink.close()
    (line,) = logs
    assert line["at"] == server.url
    assert "hidden" not in str(line)


async def test_a_server_that_does_not_answer_is_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        sink = Webhook(WebhookSettings(url=url, timeout_seconds=0.2))
        assert await sink.deliver(findings()[:1]) is Delivery.RETRY
        await sink.close()


async def test_certificates_are_checked_and_shown(tmp_path: Path) -> None:
    made = certificates(tmp_path, mutual=True)
    async with web_server(made.server) as server:
        tried = []
        own = {"tls_certificate_file": made.client, "tls_key_file": made.client_key}
        for given in ({}, {"tls_ca_file": made.authority}, {"tls_ca_file": made.authority, **own}):
            sink = webhook(server, **given)
            tried.append(await sink.deliver(findings()[:1]))
            await sink.close()
    assert tried == [Delivery.RETRY, Delivery.RETRY, Delivery.DELIVERED]
    assert len(server.posted) == 1


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(SettingsError, match="missing cannot be used"):
        Webhook(WebhookSettings(url="https://siem.example/hook", tls_ca_file=missing))
    with pytest.raises(SettingsError, match="missing cannot be read: No such file"):
        Webhook(WebhookSettings(url="https://siem.example/hook", signing_key_file=missing))
