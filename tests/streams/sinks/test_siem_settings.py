from typing import Any

import pytest
from pydantic import ValidationError

from detectors.finding import SEVERITIES, Severity
from streams.sink_loop import heard
from streams.sinks import Delivery
from streams.sinks.siem_settings import SecurityHubSettings, SyslogSettings, WebhookSettings
from streams.sinks.webhook import Webhook
from tests.streams.formats.golden import findings
from tests.streams.web_server import web_server

FINDING = findings()[0]


@pytest.mark.parametrize("least", SEVERITIES)
def test_findings_of_less_severity_are_left_out(least: Severity) -> None:
    settings = SyslogSettings(host="siem.example", least_severity=least)
    several = [FINDING.model_copy(update={"severity": each}) for each in SEVERITIES]
    assert [each.severity for each in settings.of(several)] == list(SEVERITIES[SEVERITIES.index(least) :])


@pytest.mark.parametrize(("setting", "default"), [("provisional", True), ("observed", False)])
def test_what_is_not_certain_or_only_observed_is_sent_by_setting(setting: str, default: bool) -> None:
    marked = FINDING.model_copy(update={setting: True})
    told = {value: made(**{setting: value}).of([FINDING, marked]) for value in (True, False)}
    assert told == {True: [FINDING, marked], False: [FINDING]}
    assert made().of([FINDING, marked]) == told[default]


async def test_the_sinks_themselves_leave_out_what_is_only_observed() -> None:
    observed = FINDING.model_copy(update={"observed": True})
    async with web_server() as server:
        for asked in (False, True):
            sink = Webhook(WebhookSettings(url=server.url, observed=asked))
            assert await sink.deliver(heard(sink, [observed])) is Delivery.DELIVERED
            await sink.close()
            assert len(server.posted) == int(asked)


def made(**settings: Any) -> SyslogSettings:
    return SyslogSettings(host="siem.example", **settings)


@pytest.mark.parametrize(("transport", "port"), [("udp", 514), ("tcp", 514), ("tls", 6514)])
def test_the_port_of_syslog_is_the_usual_one(transport: Any, port: int) -> None:
    assert SyslogSettings(host="siem.example", transport=transport).reached_at == port
    assert SyslogSettings(host="siem.example", transport=transport, port=1514).reached_at == 1514


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (WebhookSettings, {"url": "siem.example"}, "url"),
        (WebhookSettings, {"url": "https://siem.example:port/hook"}, "no address of a web server"),
        (WebhookSettings, {"url": "https://siem.example", "headers": {"X Y": "1"}}, "no name of a header"),
        (WebhookSettings, {"url": "https://siem.example", "headers": {"X": "1\r\nY: 2"}}, "the value of X"),
        (WebhookSettings, {"url": "https://siem.example", "format": "osf"}, "did you mean 'ocsf'?"),
        (WebhookSettings, {"url": "https://siem.example", "signing_key": "a", "signing_key_file": "b"}, "not both"),
        (SyslogSettings, {}, "host"),
        (SyslogSettings, {"host": "siem.example", "transport": "quic"}, "transport"),
        (SyslogSettings, {"host": "siem.example", "facility": "local8"}, "facility"),
        (SecurityHubSettings, {"account_id": "123", "region": "eu-central-1"}, "account_id"),
        (SecurityHubSettings, {"account_id": "111122223333", "region": "Frankfurt"}, "region"),
    ],
)
def test_mistakes_are_named(model: type[Any], given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("?", r"\?")):
        model(**given)


def test_no_secret_is_shown() -> None:
    given = {"url": "https://siem.example", "signing_key": "hidden", "headers": {"Authorization": "hidden"}}
    settings = WebhookSettings.model_validate(given)
    assert "hidden" not in f"{settings!r}{settings}"
