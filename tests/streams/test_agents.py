import asyncio
from collections.abc import Sequence

import pytest
import structlog
from aiokafka import ConsumerRecord

import streams.agents
from detectors.finding import Finding
from streams.agents import NotifyAgent, _findings, batch_of, heard
from streams.sinks import Delivery, Sink
from streams.sinks.json_lines import JsonLines
from streams.transport import Fetched
from tests.streams.found import findings


class Slow(Sink):
    """Answers as it was told, then takes everything."""

    name = "slow"

    def __init__(self, *answers: Delivery) -> None:
        self._answers = list(answers)
        self.offered: list[Sequence[Finding]] = []

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        self.offered.append(findings)
        return self._answers.pop(0) if self._answers else Delivery.DELIVERED


def record(value: bytes | None, offset: int = 0) -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord("findings", 0, offset, 1_767_603_600_000, 0, b"key", value, None, 3, -1, (("a", b"b"),))


def log_of(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(streams.agents, "_RETRY_SECONDS", 0.01)
    with structlog.testing.capture_logs() as captured:
        asyncio.run(NotifyAgent([sink])._deliver(sink, findings()))
    return [entry["event"] for entry in captured]


def test_a_sink_that_asks_for_it_is_offered_the_same_findings_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Slow(Delivery.RETRY, Delivery.RETRY)
    assert log_of(sink, monkeypatch) == ["a sink does not take findings, trying again"] * 2
    assert sink.offered == [findings()] * 3


def test_a_sink_that_refuses_for_good_is_let_go_on_with_a_word_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Slow(Delivery.HOPELESS)
    assert log_of(sink, monkeypatch) == ["a sink refused findings for good"]
    assert len(sink.offered) == 1


class Recording(Slow):
    """Hears of everything."""

    hears_observed = True


def test_only_sinks_that_ask_for_it_hear_of_what_is_only_observed() -> None:
    observed = [finding.model_copy(update={"observed": True}) for finding in findings()]
    everything = [*observed, *findings(2)]
    assert heard(Slow(), everything) == findings(2)
    assert heard(Recording(), everything) == everything
    assert JsonLines.hears_observed


def test_messages_that_are_no_findings_are_named_and_passed_over() -> None:
    good = findings()[0]
    newer = good.model_dump_json().replace('"schema_version":1', '"schema_version":2,"new_field":1')
    values = [b"{}", good.model_dump_json().encode(), None, b"", b"\xff", newer.encode()]
    records = [record(value, offset) for offset, value in enumerate(values)]
    with structlog.testing.capture_logs() as captured:
        assert list(_findings(records)) == [good]
    assert [entry["where"] for entry in captured] == [f"findings/0 at {offset}" for offset in (0, 4, 5)]


def test_a_batch_names_its_partition_and_its_range() -> None:
    batch = batch_of(Fetched([record(b"one", 7), record(None, 9)], 6, 12))
    assert batch.source == "findings/0"
    assert (batch.begin, batch.end, batch.offsets.tolist()) == (6, 12, [7, 9])
    assert [message.value for message in batch.messages] == [b"one", b""]
    assert batch.messages[0].headers == {"a": b"b"}
    assert batch.messages[0].timestamp == 1_767_603_600_000
