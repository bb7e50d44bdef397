"""What every sink must hold to, whoever hears of the findings."""

import io
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from rich.console import Console

import streams.sinks
from detectors.discovery import implementations
from streams.sinks import Delivery, Sink
from streams.sinks.json_lines import JsonLines
from streams.sinks.security_hub import SecurityHub
from streams.sinks.siem_settings import SecurityHubSettings, SyslogSettings, WebhookSettings
from streams.sinks.syslog import Syslog
from streams.sinks.terminal import Terminal
from streams.sinks.webhook import Webhook
from tests.streams.found import findings
from tests.streams.web_server import ThreadedWebServer, serving

SINKS = implementations(streams.sinks, Sink)  # type: ignore[type-abstract]  # mypy issue 4717


Made = tuple[Sink, Callable[[], str]]


def _heard_by_terminal(folder: Path, stack: ExitStack) -> Made:
    del folder, stack
    file = io.StringIO()
    return Terminal(Console(file=file, width=500)), file.getvalue


def _heard_by_json_lines(folder: Path, stack: ExitStack) -> Made:
    del stack
    path = folder / "findings.jsonl"
    return JsonLines(path), path.read_text


def _heard_by_webhook(folder: Path, stack: ExitStack) -> Made:
    del folder
    server = stack.enter_context(serving(ThreadedWebServer()))
    return Webhook(WebhookSettings(url=server.url)), lambda: "".join(
        str(each["summary"]) for body in server.bodies for each in json.loads(body)
    )


def _heard_by_syslog(folder: Path, stack: ExitStack) -> Made:
    del folder
    listening = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    listening.bind(("127.0.0.1", 0))
    listening.setblocking(False)  # on loopback what was sent has arrived
    port = listening.getsockname()[1]
    messages: list[str] = []

    def heard() -> str:
        with suppress(BlockingIOError):
            while True:
                messages.append(listening.recv(65_535).decode())
        return "".join(messages)

    return Syslog(SyslogSettings(host="127.0.0.1", port=port, transport="udp")), heard


def _heard_by_security_hub(folder: Path, stack: ExitStack) -> Made:
    del folder
    patched = stack.enter_context(pytest.MonkeyPatch.context())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patched.setenv(name, "testing")
    stack.enter_context(mock_aws())
    hub = boto3.client("securityhub", region_name="eu-central-1")
    stack.callback(hub.close)
    sink = SecurityHub(SecurityHubSettings(account_id="123456789012", region="eu-central-1"))
    return sink, lambda: "".join(each["Description"] for each in hub.get_findings()["Findings"])


MAKERS: dict[type[Sink], Callable[[Path, ExitStack], Made]] = {
    Terminal: _heard_by_terminal,
    JsonLines: _heard_by_json_lines,
    SecurityHub: _heard_by_security_hub,
    Syslog: _heard_by_syslog,
    Webhook: _heard_by_webhook,
}
"""How a test comes by a sink of each kind, and by what was heard at its other end."""


@pytest.fixture(params=SINKS, ids=lambda kind: kind.name)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    maker = MAKERS.get(request.param)
    assert maker is not None, f"say in MAKERS how to come by a {request.param.__name__}"
    with ExitStack() as stack:
        yield maker(tmp_path, stack)


def test_names_are_unique() -> None:
    assert len(SINKS) >= 2
    assert len({kind.name for kind in SINKS}) == len(SINKS)


async def test_every_finding_is_heard_of_in_order(made: Made) -> None:
    sink, heard = made
    assert await sink.deliver(findings(3)) is Delivery.DELIVERED
    await sink.close()
    places = [heard().index(each.summary) for each in findings(3) if each.status == "open"]
    assert places == sorted(places)
    assert len(places) == 3


async def test_no_findings_are_no_news(made: Made) -> None:
    sink, heard = made
    assert await sink.deliver([]) is Delivery.DELIVERED
    await sink.close()
    assert heard() == ""


async def test_what_was_delivered_may_be_delivered_again(made: Made) -> None:
    sink, _ = made
    for _ in range(2):
        assert await sink.deliver(findings()) is Delivery.DELIVERED
    await sink.close()


async def test_what_was_delivered_is_out_before_it_is_closed(made: Made) -> None:
    sink, heard = made
    await sink.deliver(findings())
    assert findings()[0].summary in heard()
    await sink.close()


async def test_any_text_in_a_finding_is_taken(made: Made) -> None:
    sink, heard = made
    odd = findings()[0].model_copy(update={"summary": "[red]\u2028 \\ \" ' {} %s é", "id": "odd"})
    assert await sink.deliver([odd]) is Delivery.DELIVERED
    await sink.close()
    assert "[red]" in heard()


async def test_closing_twice_does_no_harm(made: Made) -> None:
    sink, _ = made
    await sink.close()
    await sink.close()
