import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr, ValidationError

from streams.errors import FlowhawkError, KafkaUnavailable, SettingsError
from streams.kafka_settings import KafkaSettings, Topic, TopicSettings, asyncio_arguments, client_arguments, tokens
from streams.oauth_settings import OauthSettings
from streams.publish import Publisher
from streams.sources.generated import GeneratedSource
from streams.tokens import MskTokens, ProviderTokens
from streams.topics import create_topics, missing_topics
from tests.kafka.broker import PASSWORD, USER, KafkaBroker
from tests.streams.programs import Program, environment_of, get, samples
from tests.streams.web_server import Answer, Posted


def unsigned(subject: str = USER, *, seconds: int = 600) -> str:
    """Write a token that nobody has signed, which Kafka takes where nothing else is set up."""
    now = time.time()
    parts = [{"alg": "none"}, {"sub": subject, "iat": now - 1, "exp": now + seconds}]
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts), ""]
    )


class Provider(ThreadingHTTPServer):
    """An identity provider: what was posted, and the answers to come; the last one is for all that follow."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Giver)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers = list(answers)
        self.posted: list[Posted] = []


class _Giver(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(Posted(self.path, dict(self.headers), body))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(answer.status)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *arguments: object) -> None:
        del arguments


@contextmanager
def provider(*answers: Answer) -> Iterator[tuple[Provider, OauthSettings]]:
    with Provider(*answers) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield web, OauthSettings(token_url=f"{web.url}/token", client_id="me&you", client_secret=SecretStr("s:1"))
        finally:
            web.shutdown()
            thread.join()


def given(token: str, **more: object) -> Answer:
    return Answer(body=json.dumps({"access_token": token, **more}).encode())


def with_tokens(broker: KafkaBroker, oauth: OauthSettings) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=(broker.sasl_bootstrap,),
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        oauth=oauth,
    )


def token_file(folder: Path, token: str) -> OauthSettings:
    (folder / "token").write_text(f"{token}\n")
    return OauthSettings(token_file=folder / "token")


async def topics_seen(kafka: KafkaSettings) -> set[str]:
    async with AIOKafkaConsumer(**asyncio_arguments(kafka)) as consumer:
        found: set[str] = await consumer.topics()
        return found


def test_a_token_in_a_file_lets_both_clients_in(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path
) -> None:
    kafka = with_tokens(kafka_broker, token_file(tmp_path, unsigned()))
    assert topic_settings.flows.name in create_topics(kafka, topic_settings)
    assert topic_settings.flows.name in asyncio.run(topics_seen(kafka))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_password_lets_both_clients_in(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, mechanism: str
) -> None:
    kafka = KafkaSettings.model_validate(
        {
            "bootstrap_servers": (kafka_broker.sasl_bootstrap,),
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": mechanism,
            "sasl_username": USER,
            "sasl_password": PASSWORD,
        }
    )
    assert topic_settings.flows.name in create_topics(kafka, topic_settings)
    assert topic_settings.flows.name in asyncio.run(topics_seen(kafka))


def test_records_are_published_with_a_token_of_an_identity_provider(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings
) -> None:
    with provider(given(unsigned(), expires_in=600)) as (web, oauth):
        kafka = with_tokens(kafka_broker, oauth)
        create_topics(kafka, topic_settings)
        with Publisher(kafka, topic_settings.flows) as publisher:
            publisher.publish(GeneratedSource.at("generate://?minutes=1&hosts=20&records_per_minute=200"))
            assert publisher.finish().records > 0
    # All clients share it.
    (asked,) = web.posted
    assert asked.path == "/token"
    assert asked.body == b"grant_type=client_credentials"
    assert base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")) == b"me%26you:s%3A1"


def test_the_service_runs_with_tokens(kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path) -> None:
    kafka = with_tokens(kafka_broker, token_file(tmp_path, unsigned()))
    create_topics(kafka, topic_settings)
    with Publisher(kafka, topic_settings.flows) as publisher:
        publisher.publish(GeneratedSource.at("generate://?minutes=1&hosts=20&records_per_minute=200"))
        count = publisher.finish().records
    environment = environment_of(kafka_broker.sasl_bootstrap, topic_settings) | {
        "FLOWHAWK__KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FLOWHAWK__KAFKA__SASL_MECHANISM": "OAUTHBEARER",
        "FLOWHAWK__KAFKA__OAUTH__TOKEN_FILE": str(tmp_path / "token"),
    }
    with Program("run", environment=environment, folder=tmp_path) as service:
        address = service.metrics_address()
        service.wait_until(lambda: samples(get(address, "/metrics")[1])["flowhawk_records_total"] == count)


def test_a_token_that_is_not_good_is_one_clear_line(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    token = unsigned(seconds=-60)
    kafka = with_tokens(kafka_broker, token_file(tmp_path, token))
    with pytest.raises(
        KafkaUnavailable, match=r"does not let whoever has this token in .* where the token comes from"
    ) as caught:
        missing_topics(kafka, [Topic(name="flows")])
    assert token not in str(caught.value)


def test_a_token_is_used_for_most_of_its_life() -> None:
    with provider(given("one", expires_in=600), given("two", expires_in=0), given("three")) as (web, oauth):
        several = ProviderTokens(oauth)
        assert [several.token(), several.token()] == ["one", "one"]
        short = ProviderTokens(oauth.model_copy(update={"scope": "kafka"}))
        assert [short.token(), short.token()] == ["two", "three"]
        assert web.posted[-1].body == b"grant_type=client_credentials&scope=kafka"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=401), "it answers 401"),
        (Answer(body=b"<html>"), "its answer holds no access_token"),
        (Answer(body=b'{"error": "no"}'), "its answer holds no access_token"),
        (Answer(body=b"[]"), "its answer holds no access_token"),
    ],
)
def test_an_identity_provider_that_gives_no_token_is_one_clear_line(answer: Answer, reason: str) -> None:
    with provider(answer) as (web, oauth), pytest.raises(KafkaUnavailable) as caught:
        ProviderTokens(oauth).token()
    assert str(caught.value).startswith(f"{web.url}/token gives no token: {reason}")
    assert "s:1" not in str(caught.value)


def test_an_identity_provider_that_is_not_there_is_one_clear_line() -> None:
    oauth = OauthSettings(token_url="http://127.0.0.1:1/", client_id="me", client_secret=SecretStr("x"))  # noqa: S106 - of a test
    with pytest.raises(KafkaUnavailable, match=r"gives no token: .*refused"):
        ProviderTokens(oauth).token()


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), ("\n", "is empty")])
def test_a_file_without_a_token_is_one_clear_line(
    kafka_broker: KafkaBroker, tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    kafka = with_tokens(kafka_broker, OauthSettings(token_file=tmp_path / "token"))
    with pytest.raises(SettingsError, match=rf"kafka.oauth.token_file: .*{said}"):
        client_arguments(kafka)


def test_a_token_for_msk_is_a_question_to_it_that_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    kafka = KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="AWS_MSK_IAM", msk_region="eu-west-1")
    assert client_arguments(kafka)["sasl_mechanism"] == asyncio_arguments(kafka)["sasl_mechanism"] == "OAUTHBEARER"
    token = tokens(kafka).token()
    assert "=" not in token
    question = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    asked = {name: values[0] for name, values in parse_qs(question.query).items()}
    assert (question.scheme, question.netloc, question.path) == ("https", "kafka.eu-west-1.amazonaws.com", "/")
    assert asked["Action"] == "kafka-cluster:Connect"
    assert asked["X-Amz-Expires"] == "900"
    assert asked["X-Amz-Security-Token"] == "session"
    assert asked["X-Amz-Credential"].startswith("AKIDEXAMPLE/")
    assert asked["X-Amz-Credential"].endswith("/eu-west-1/kafka-cluster/aws4_request")
    assert asked["X-Amz-SignedHeaders"] == "host"
    assert len(asked["X-Amz-Signature"]) == 64


def test_msk_without_a_region_or_credentials_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SettingsError, match=r"kafka.msk_region: say in which region"):
        MskTokens(None)
    with pytest.raises(KafkaUnavailable, match="no credentials of AWS"):
        MskTokens("eu-west-1").token()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"},
            "needs oauth.token_file or oauth.token_url",
        ),
        (
            {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "AWS_MSK_IAM"},
            "AWS_MSK_IAM needs security_protocol",
        ),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "needs sasl_mechanism and sasl_username"),
        ({"oauth": {"token_url": "https://x", "client_id": "me"}}, "token_url needs client_id and client_secret"),
        ({"oauth": {"token_url": "https://x", "token_file": "y"}}, "give token_file or token_url, not both"),
        (
            {"oauth": {"client_secret": "a", "client_secret_file": "y"}},
            "give client_secret or client_secret_file, not both",
        ),
        ({"oauth": {"token_url": "ftp://x"}}, "should match pattern"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        KafkaSettings.model_validate(given)


def test_errors_are_those_that_people_see() -> None:
    assert issubclass(KafkaUnavailable, FlowhawkError)
