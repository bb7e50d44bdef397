from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.errors import SettingsError
from streams.settings import Settings, load


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "flowhawk.yaml"
    path.write_text(text)
    return load(path)


def mistake(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    return str(caught.value).removeprefix(f"{tmp_path / 'flowhawk.yaml'}: ")


def suppression(**given: Any) -> str:
    whole = {"name": "ours", "owner": "security team", "reason": "our scanner", **given}
    return yaml.safe_dump({"suppressions": [whole]})


def override(**given: Any) -> str:
    return yaml.safe_dump({"overrides": [{"detectors": {"vertical_scan": {"ports": 60}}, **given}]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (suppression(), "suppressions.0: would hide everything; give kinds, sources, targets, ports, tags, directions"),
        (suppression(kinds=[]), "suppressions.0: would hide everything"),
        (suppression(sources=["192.0.2.1"], owner=""), "suppressions.0.owner: string should have at least 1 character"),
        (
            suppression(kinds=["vertical_scam"]),
            "suppressions.0.kinds.0: no detector is called 'vertical_scam'; did you",
        ),
        (suppression(sources=["192.0.2.1/24"]), "suppressions.0.sources.0: 192.0.2.1/24 has host bits set"),
        (suppression(targets=["nowhere"]), "suppressions.0.targets.0: 'nowhere' does not appear to be an IPv4 or IPv6"),
        (suppression(ports=[65536]), "suppressions.0.ports.0: input should be less than or equal to 65535"),
        (suppression(directions=["up"]), "suppressions.0.directions.0: input should be 'inbound', 'outbound' or"),
        (suppression(scope="vpc-1", expires="soon"), "suppressions.0.expires: input should be a valid datetime"),
        (suppression(source=["192.0.2.1"]), "suppressions.0.source is no setting; did you mean 'sources'?"),
        (suppression(tags=["scanner"]), "suppressions.0: no tag is called 'scanner'"),
        ("suppressions: [{name: a, kinds: [slow_scan], owner: b}]", "suppressions.0.reason: field required"),
        (override(), "overrides.0: is for no host; give networks, tags or scope"),
        (override(networks=["10.0.0.1/8"]), "overrides.0.networks.0: 10.0.0.1/8 has host bits set"),
        (override(scope="", detectors={"slow_scan": {"port": 1}}), "overrides.0.detectors: slow_scan has no parameter"),
        (
            override(scope="", detectors={"vertical_scan": {"ports": 1}}),
            "overrides.0.detectors: vertical_scan.ports is 1, b",
        ),
        ("overrides: [{scope: vpc-1}]", "overrides.0.detectors: field required"),
        ("tags: {scanner: [192.0.2.0/33]}", "tags.scanner.0: '192.0.2.0/33' does not appear to be an IPv4 or IPv6"),
        ("modes: {vertical_scan: loud}", "modes.vertical_scan: input should be 'active', 'observe' or 'off'"),
        ("modes: {vertical_scam: off}", "modes.vertical_scam.[key]: no detector is called 'vertical_scam'"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    assert mistake(tmp_path, text).startswith(message)


def test_a_tag_that_is_not_declared_is_named_with_the_nearest(tmp_path: Path) -> None:
    text = "tags: {scanner: [192.0.2.0/24]}\n" + override(tags=["scaner"])
    assert mistake(tmp_path, text).endswith("overrides.0: no tag is called 'scaner'; did you mean 'scanner'?")


def test_two_suppressions_of_a_name_are_refused(tmp_path: Path) -> None:
    one = {"name": "ours", "owner": "a", "reason": "b", "scope": "vpc-1"}
    assert mistake(tmp_path, yaml.safe_dump({"suppressions": [one, one]})).endswith(
        "two suppressions are called 'ours'"
    )


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2027-01-01", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T12:30:00", datetime(2027, 1, 1, 12, 30, tzinfo=UTC)),
        ("2027-01-01T12:30:00+01:00", datetime(2027, 1, 1, 11, 30, tzinfo=UTC)),
        ("'2027-01-01'", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_suppression_ends_at_a_moment_in_utc(tmp_path: Path, written: str, moment: datetime) -> None:
    text = f"suppressions: [{{name: a, owner: b, reason: c, kinds: [slow_scan], expires: {written}}}]"
    assert read(tmp_path, text).suppressions[0].expires == moment


def test_the_word_off_needs_no_quotes(tmp_path: Path) -> None:
    modes = read(tmp_path, "modes: {slow_scan: off, brute_force: 'off', vertical_scan: observe}").modes
    assert modes == {"slow_scan": "off", "brute_force": "off", "vertical_scan": "observe"}


def test_a_single_address_is_a_network(tmp_path: Path) -> None:
    settings = read(tmp_path, "tags: {scanner: [192.0.2.10, 2001:db8::1]}\n" + override(tags=["scanner"]))
    assert settings.tags == {"scanner": ("192.0.2.10", "2001:db8::1")}


def test_they_may_be_given_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWHAWK__MODES__SLOW_SCAN", "off")
    monkeypatch.setenv("FLOWHAWK__TAGS", '{"scanner": ["192.0.2.10"]}')
    settings = load()
    assert (settings.modes, settings.tags) == ({"slow_scan": "off"}, {"scanner": ("192.0.2.10",)})
