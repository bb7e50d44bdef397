"""Secrets through every setting that has one: none of them comes out again, not at the level of debugging either."""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel

from streams.kafka_settings import TopicSettings
from streams.secret import secret_fields
from streams.settings import Settings
from tests.kafka.broker import KafkaBroker
from tests.monitoring.servers import Received
from tests.streams.found import findings
from tests.streams.programs import Program, environment_of, flowhawk, free_port, get, samples
from tests.streams.topic_records import write

TELLTALE: Final = "5up3rs3cr3t"
"""Is in every secret here, and nowhere else."""

LOGGED: Final = {"FLOWHAWK__LOG__LEVEL": "debug", "FLOWHAWK__LOG__FORMAT": "json", "FLOWHAWK__LOG__BURST": "1000000"}
AMAZON: Final = {
    "AWS_ACCESS_KEY_ID": f"AKIA{TELLTALE}",
    "AWS_SECRET_ACCESS_KEY": f"aws-{TELLTALE}",
    "AWS_SESSION_TOKEN": f"session-{TELLTALE}",
}


def sections(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Go through all sections of the settings, and name where they are."""
    yield place, model
    for name, field in model.model_fields.items():
        for each in (field.annotation, *get_args(field.annotation)):
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield from sections(each, f"{place}{name}.")


def secrets() -> set[str]:
    return {f"{place}{name}" for place, model in sections(Settings) for name in secret_fields(model)}


def test_these_are_all_the_secrets_there_are() -> None:
    """Whoever adds one adds it to the tests below."""
    assert secrets() == {
        "kafka.sasl_password",
        "kafka.oauth.client_secret",
        "sinks.alertmanager.password",
        "sinks.alertmanager.bearer_token",
        "sinks.alertmanager.headers",
        "sinks.webhook.signing_key",
        "sinks.webhook.headers",
    }


def test_a_service_whose_sinks_fail_shows_no_secret(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path
) -> None:
    address, config, held = ("127.0.0.1", free_port()), tmp_path / "flowhawk.yaml", tmp_path / "held"
    environment = environment_of(kafka_broker.bootstrap, topic_settings) | AMAZON | LOGGED
    environment |= {"FLOWHAWK__HTTP__PORT": str(address[1])}
    shown: list[str] = []
    held.write_text(f"X-Held: held-{TELLTALE}")

    def configure(webhook: Any, alertmanager: Any, **other: Any) -> None:
        hub = {
            "account_id": "111122223333",
            "region": "eu-central-1",
            "endpoint_url": f"http://127.0.0.1:{free_port()}",
        }
        sinks = {"webhook": webhook, "alertmanager": alertmanager, "security_hub": hub}
        config.write_text(yaml.safe_dump({"sinks": sinks, **other}))

    def failed(sink: str) -> bool:
        page = get(address, "/metrics")[1]
        name = "alertmanager_errors_total" if sink == "alertmanager" else f'sink_failures_total{{sink="{sink}"}}'
        return sum(value for each, value in samples(page).items() if each.startswith(f"flowhawk_{name}")) > 0

    assert flowhawk("topics", "create", environment=environment).returncode == 0
    with ExitStack() as stack:
        received = stack.enter_context(Received())
        received.status = 503
        webhook = {"url": f"{received.url}/{TELLTALE}", "headers": {"Authorization": f"Bearer {TELLTALE}"}}
        manager = {"urls": [received.url], "interval_seconds": 0.1, "resend_seconds": 1}
        configure(
            {**webhook, "signing_key": f"key-{TELLTALE}"},
            {**manager, "username": "me", "password": f"word-{TELLTALE}", "headers": {"X-Tenant": TELLTALE}},
        )
        program = stack.enter_context(Program("run", "--config", config, environment=environment, folder=tmp_path))
        program.metrics_address()
        program.wait_until(lambda: get(address, "/-/ready")[0] == 200)
        value = findings()[0].model_dump_json().encode()
        write(kafka_broker.bootstrap, topic_settings.findings.name, [value])
        program.wait_until(lambda: all(map(failed, ("webhook", "alertmanager", "security_hub"))))

        configure({**webhook, "signing_key": f"key-{TELLTALE}", "signing_key_file": str(held)}, {"password": TELLTALE})
        shown += [get(address, "/-/reload", "POST")[1]]
        config.write_text(f"sinks: {{webhook: {{signing_key: '{TELLTALE}' {TELLTALE}")
        shown += [get(address, "/-/reload", "POST")[1]]
        configure(
            {"url": webhook["url"], "signing_key_file": str(held), "headers_file": str(held)},
            {**manager, "bearer_token": f"token-{TELLTALE}", "headers_file": str(held)},
        )
        status, answer = get(address, "/-/reload", "POST")
        assert (status, answer) == (200, "applied: sinks.alertmanager, sinks.security_hub, sinks.webhook\n")
        program.wait_until(lambda: failed("alertmanager"))
        program.wait_until(lambda: any("held-" in str(headers) for _, headers, _ in received.requests))
        shown += [answer, get(address, "/metrics")[1]]
        assert program.stop(signal.SIGTERM, seconds=10) == 0
        sent = json.dumps([dict(headers) for _, headers, _ in received.requests])
    assert TELLTALE in sent
    entries = [json.loads(line) for line in program.errors.splitlines() if line.startswith("{")]
    assert {"a webhook cannot be reached", "a sink does not take findings, trying again"} & {
        each["event"] for each in entries
    }
    assert [line for line in program.errors.splitlines() if TELLTALE in line] == []
    assert TELLTALE not in "".join([program.output, *shown])


def test_a_broker_that_refuses_a_login_shows_no_secret(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text(f"word-{TELLTALE}")
    config = tmp_path / "flowhawk.yaml"
    kafka = {"bootstrap_servers": [kafka_broker.bootstrap], "security_protocol": "SASL_PLAINTEXT"}
    plain = {"sasl_mechanism": "PLAIN", "sasl_username": "me"}
    client = {"token_url": f"http://127.0.0.1:{free_port()}", "client_id": "me"}
    for login in (
        {**plain, "sasl_password": f"word-{TELLTALE}"},
        {**plain, "sasl_password_file": str(word)},
        {"sasl_mechanism": "OAUTHBEARER", "oauth": {**client, "client_secret": f"word-{TELLTALE}"}},
        {"sasl_mechanism": "OAUTHBEARER", "oauth": {**client, "client_secret_file": str(word)}},
    ):
        config.write_text(yaml.safe_dump({"kafka": {**kafka, **login}}))
        for command in ("run", "check-config"):
            ended = flowhawk(command, *(["--config"] if command == "run" else []), config, environment=LOGGED)
            assert (ended.returncode != 0) == (command == "run")
            assert TELLTALE not in ended.stdout + ended.stderr
