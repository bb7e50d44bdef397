import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.errors import SettingsError
from streams.kafka_settings import client_arguments, password
from streams.settings import DELIMITER, PREFIX, Settings, keys, load

SECRET = "hush-hush-42"  # noqa: S105 - looked for in what must not show it


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path) -> "Config":
    return Config(tmp_path / "flowhawk.yaml")


class Config:
    """A settings file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, text: str) -> Settings:
        self.path.write_text(text)
        return load(self.path)

    def mistakes(self, text: str) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            self.load(text)
        return str(caught.value).replace(f"{self.path}: ", "").splitlines()


def nested(key: str, value: Any) -> Any:
    """Put a value under a dotted key."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def sections(document: Any, prefix: str = "") -> Iterator[str]:
    """Name every section of a document, by its dotted key."""
    yield prefix
    for key, value in document.items():
        if isinstance(value, dict):
            yield from sections(value, f"{prefix}{key}.")


DEFAULTS = json.loads(Settings().model_dump_json())


def test_no_file_and_no_environment_are_the_defaults() -> None:
    assert load() == Settings()


def test_an_empty_file_and_empty_sections_are_the_defaults(config: Config) -> None:
    assert config.load("") == Settings()
    assert config.load("kafka:\ntopics:\n  # flows: {name: vpc-flows}\n") == Settings()


def test_all_defaults_written_out_are_the_defaults_again(config: Config) -> None:
    assert config.load(yaml.safe_dump(DEFAULTS)) == Settings()


@pytest.mark.parametrize(
    ("key", "default"), [(key, default) for key, default, _ in keys()], ids=lambda each: str(each)[:40]
)
def test_every_default_may_be_set_alone_in_the_file_and_in_the_environment(
    config: Config, monkeypatch: pytest.MonkeyPatch, key: str, default: Any
) -> None:
    if default is None:
        return
    plain = json.loads(json.dumps(default, default=str))
    assert config.load(yaml.safe_dump(nested(key, plain))) == Settings()
    text = plain if isinstance(plain, str) else json.dumps(plain)
    monkeypatch.setenv(PREFIX + key.upper().replace(".", DELIMITER), text)
    assert load() == Settings()


def test_every_setting_is_described() -> None:
    assert all(description.endswith(".") for _, _, description in keys())


def test_settings_are_listed_with_the_values_they_have() -> None:
    settings = load(overrides={"topics": {"flows": {"partitions": 3}}, "http": {"port": 1}})
    listed = {key: value for key, value, _ in keys(defaults=settings)}
    assert [key for key, _, _ in keys()] == list(listed)
    assert listed | {"topics.flows.partitions": 1, "http.port": 9469} == {key: value for key, value, _ in keys()}
    assert (listed["topics.flows.partitions"], listed["http.port"]) == (3, 1)


def test_the_environment_is_stronger_than_the_file_and_the_command_line_than_both(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.path.write_text("http: {port: 1, host: 192.0.2.1}\nkafka: {group_id: file}")
    monkeypatch.setenv("FLOWHAWK__HTTP__PORT", "2")
    monkeypatch.setenv("FLOWHAWK__KAFKA__GROUP_ID", "environment")
    settings = load(config.path, {"http": {"port": 3}})
    assert (settings.http.host, settings.kafka.group_id, settings.http.port) == ("192.0.2.1", "environment", 3)


def test_a_part_of_a_topic_leaves_the_rest_of_it_as_it_is(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWHAWK__TOPICS__FINDINGS__NAME", "alerts")
    findings = config.load("topics: {findings: {partitions: 3}}").topics.findings
    assert (findings.name, findings.partitions, findings.compacted) == ("alerts", 3, True)


@pytest.mark.parametrize("text", ['["a:1", "b:2"]', "a:1,b:2", " a:1 , b:2 "])
def test_lists_in_the_environment_are_json_or_stand_between_commas(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FLOWHAWK__KAFKA__BOOTSTRAP_SERVERS", text)
    assert load().kafka.bootstrap_servers == ("a:1", "b:2")


def test_a_section_in_the_environment_may_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWHAWK__NETWORKS", '{"scopes": [{"name": "lab", "cidr": "10.0.0.0/8"}]}')
    monkeypatch.setenv("FLOWHAWK__NETWORKS__INTERNAL", "2001:db8::/32")
    networks = load().networks
    assert networks.scopes[0].name == "lab"
    assert networks.internal == ("2001:db8::/32",)


@pytest.mark.parametrize("name", ["FLOWHAWK__KAFKA__GROUP_ID", "flowhawk__kafka__group_id"])
def test_case_does_not_matter_in_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "other")
    assert load().kafka.group_id == "other"


@pytest.mark.parametrize("section", list(sections(DEFAULTS)))
def test_an_unknown_key_is_named_with_the_nearest_in_every_section(config: Config, section: str) -> None:
    inside = [key.removeprefix(section).split(".")[0] for key, _, _ in keys() if key.startswith(section)]
    if not inside:
        assert section in {"detectors.", "tags.", "modes.", "sinks.terminal."}
        return
    known = inside[0]
    (mistake,) = config.mistakes(yaml.safe_dump(nested(f"{section}{known}x", 1)))
    assert mistake == f"{section}{known}x is no setting; did you mean {known!r}?"


def test_an_unknown_key_in_a_list_is_named_with_the_nearest(config: Config) -> None:
    assert config.mistakes("networks: {scopes: [{name: lab, vpcid: vpc-1}]}") == [
        "networks.scopes.0.vpcid is no setting; did you mean 'vpc_id'?"
    ]


def test_a_key_that_resembles_none_is_shown_all_there_are(config: Config) -> None:
    assert config.mistakes("http: {zzz: 1}") == ["http.zzz is no setting; known: host, port"]
    assert config.mistakes("1: 2")[0].startswith("1 is no setting; known: ")


def test_every_mistake_has_a_line_of_its_own(config: Config) -> None:
    assert len(config.mistakes("http: {prot: 1, port: 100000}\nlog: {level: loud}")) == 3


def test_an_unknown_variable_is_an_error_that_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWHAWK__KAFKA__GRUOP_ID", "x")
    with pytest.raises(SettingsError, match=r"GRUOP_ID is no setting; did you mean 'FLOWHAWK__KAFKA__GROUP_ID'\?"):
        load()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FLOWHAWK__HTTP__PORT", "eighty", "environment variable FLOWHAWK__HTTP__PORT: http.port: input should be"),
        ("FLOWHAWK__KAFKA", "localhost", "environment variable FLOWHAWK__KAFKA: kafka: input should be a valid dict"),
        ("FLOWHAWK__KAFKA__BOOTSTRAP_SERVERS", '["a:1"', "bootstrap_servers begins like JSON and is none"),
        ("FLOWHAWK__KAFKA__GROUP_ID__DEEPER", "x", "kafka.group_id: input should be a valid string"),
        ("FLOWHAWK__TOPOLOGY", "by-hosts", "topology: input should be 'direct' or 'by-host'"),
    ],
)
def test_a_wrong_value_in_the_environment_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "holds list where sections are expected, such as 'kafka:'"),
        ("flows", "holds str where sections are expected, such as 'kafka:'"),
        ("topics: {flows: {name: 'a b'}}", "topics.flows.name: string should match pattern"),
        ("topics: {state: {replication: 3, min_in_sync: 4}}", "topics.state: min_in_sync is 4, above the 3 of repl"),
        ("topics: {flows: {min_in_sync: 2}}", "topics.flows: min_in_sync is 2, above the 1 of replication"),
        ("topics: {flows: {min_in_sync: 0}}", "topics.flows.min_in_sync: input should be greater than or equal to 1"),
        ("networks: {internal: [10.0.0.0/33]}", "networks.internal.0: '10.0.0.0/33' does not appear to be an IPv4"),
        ("networks: {internal: [10.0.0.1/8]}", "networks.internal.0: 10.0.0.1/8 has host bits set"),
        ("kafka: {security_protocol: SASL_SSL}", "kafka: SASL_SSL needs sasl_mechanism and sasl_username"),
        ("kafka: {sasl_password: a, sasl_password_file: b}", "kafka: give sasl_password or sasl_password_file, not"),
        ("kafka: {bootstrap_servers: []}", "kafka.bootstrap_servers: tuple should have at least 1 item"),
        ("http: {port: 65536}", "http.port: input should be less than or equal to 65535"),
        ("time: {allowed_lateness_seconds: -1}", "time.allowed_lateness_seconds: input should be greater than"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(config: Config, text: str, message: str) -> None:
    (mistake,) = config.mistakes(text)
    assert mistake.startswith(message)


def test_a_file_that_is_no_yaml_is_named_with_its_line_and_shows_nothing_of_it(config: Config) -> None:
    (mistake,) = config.mistakes(f"kafka:\n  sasl_password: '{SECRET}\n")
    assert mistake == f"{config.path}:3: is not YAML: found unexpected end of stream"


def test_a_file_that_is_not_there_or_no_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"binary.yaml: is not text in UTF-8"):
        load(tmp_path / "binary.yaml")


class TestDetectorParameters:
    def test_may_be_set_one_by_one(self, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLOWHAWK__DETECTORS__VERTICAL_SCAN__PORTS", "20")
        settings = config.load("detectors: {vertical_scan: {ports: 30}, horizontal_scan: {targets: 40}}")
        assert settings.detectors == {"vertical_scan": {"ports": 20}, "horizontal_scan": {"targets": 40}}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("vertical_scam: {ports: 20}", "no detector is called 'vertical_scam'; did you mean 'vertical_scan'?"),
            ("vertical_scan: {prots: 20}", "vertical_scan has no parameter 'prots'; did you mean 'ports'?"),
            ("vertical_scan: {ports: 1}", "vertical_scan.ports is 1, below its minimum 2"),
            ("vertical_scan: {ports: .nan}", "vertical_scan.ports is nan, below its minimum 2"),
        ],
    )
    def test_are_held_against_the_cards(self, config: Config, text: str, message: str) -> None:
        assert config.mistakes(f"detectors: {{{text}}}") == [f"detectors: {message}"]

    def test_are_numbers(self, config: Config) -> None:
        (mistake,) = config.mistakes("detectors: {vertical_scan: {ports: many}}")
        assert mistake.startswith("detectors.vertical_scan.ports: input should be a valid number")


class TestSecrets:
    def test_come_from_a_file_when_they_are_needed(self, config: Config, tmp_path: Path) -> None:
        stored = tmp_path / "password"
        stored.write_text(f"{SECRET}\n")
        kafka = config.load(
            f"kafka: {{security_protocol: SASL_SSL, sasl_mechanism: PLAIN, sasl_username: me, "
            f"sasl_password_file: {stored}}}"
        ).kafka
        assert password(kafka) == SECRET
        assert client_arguments(kafka)["sasl_plain_password"] == SECRET

    def test_that_cannot_be_read_are_one_line(self, config: Config, tmp_path: Path) -> None:
        kafka = config.load(f"kafka: {{sasl_password_file: {tmp_path / 'none'}}}").kafka
        with pytest.raises(SettingsError, match=r"kafka.sasl_password_file: .*none cannot be read: No such file"):
            password(kafka)

    def test_are_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLOWHAWK__KAFKA__SASL_PASSWORD", SECRET)
        settings = load()
        assert password(settings.kafka) == SECRET
        shown = [repr(settings), str(settings), settings.model_dump_json(), str(list(keys(defaults=settings)))]
        assert not any(SECRET in each for each in shown)

    @pytest.mark.parametrize(
        "text",
        [
            f"kafka: {{sasl_password: [{SECRET}]}}",
            f"kafka: {{sasl_password: {SECRET}, sasl_password_file: b}}",
            f"kafka: {{sasl_password: {SECRET}, security_protocol: SASL_SSL}}",
            f"kafka: {{sasl_password: {SECRET}, gruop_id: x}}",
            f"kafka: {{sasl_password: {SECRET}, x: [",
        ],
    )
    def test_are_not_shown_by_mistakes_beside_them(self, config: Config, text: str) -> None:
        assert SECRET not in str(config.mistakes(text))
