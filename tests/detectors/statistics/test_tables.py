from typing import Any

import polars as pl
from hypothesis import given

from detectors.examples import records
from detectors.statistics.contacts import fold, merged
from detectors.statistics.tables import EXAMPLES, TABLES
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, Row, attempt, exchange
from tests.detectors.statistics import oracle

PING: Row = {"protocol": 1, "source_port": 0, "destination_port": 0, "tcp_flags": None}


def table(name: str, rows: list[Any]) -> pl.DataFrame:
    return TABLES[name](merged(fold(records(rows).flows), by_pane=False))


def failures(rows: list[Any]) -> list[bool]:
    return table("contact", rows).sort("requests", descending=True)["failed"].to_list()


def test_a_lone_syn_failed() -> None:
    assert failures([attempt(OUTSIDE, INSIDE, 22)]) == [True]


def test_an_answered_conversation_did_not_fail() -> None:
    assert failures(exchange(OUTSIDE, INSIDE, 22)) == [False]


def test_an_attempt_that_was_reset_failed() -> None:
    reset = {"source": INSIDE, "source_port": 22, "destination": OUTSIDE, "destination_port": 40_000, "tcp_flags": 20}
    assert failures([attempt(OUTSIDE, INSIDE, 22), reset]) == [True]


def test_an_attempt_that_the_scanners_side_let_pass_and_the_targets_refused_failed() -> None:
    rows = [attempt("10.0.0.6", INSIDE, 22), attempt("10.0.0.6", INSIDE, 22, action="REJECT")]
    assert failures(rows) == [True]


def test_a_long_one_sided_conversation_did_not_fail() -> None:
    assert failures([attempt(OUTSIDE, INSIDE, 22, packets=3)]) == [False]
    assert failures([attempt(OUTSIDE, INSIDE, 22, tcp_flags=3)]) == [False]


def test_a_long_refused_conversation_failed() -> None:
    assert failures([attempt(OUTSIDE, INSIDE, 22, packets=30, action="REJECT")]) == [True]


def test_an_answer_in_another_pane_counts() -> None:
    request, answer = exchange(OUTSIDE, INSIDE, 22)
    later = {**answer, "end": 1_700_000_040 + 200}
    assert failures([request, later]) == [False]


def test_a_ping_that_came_back_did_not_fail() -> None:
    there = {"source": OUTSIDE, "destination": INSIDE, **PING}
    back = {"source": INSIDE, "destination": OUTSIDE, **PING}
    assert failures([there, back]) == [False, False]


def test_a_ping_that_nothing_came_back_from_failed() -> None:
    assert failures([{"source": OUTSIDE, "destination": INSIDE, **PING}]) == [True]


def test_a_ping_whose_way_back_was_refused_failed() -> None:
    there = {"source": OUTSIDE, "destination": INSIDE, **PING, "weight": 2}
    back = {"source": INSIDE, "destination": OUTSIDE, **PING, "action": "REJECT"}
    assert failures([there, back]) == [True, False]


def test_volumes_are_outbound_whoever_opened_the_conversation() -> None:
    opened = exchange("10.0.0.1", OUTSIDE, sent=50, received=7)
    served = exchange(OUTSIDE, "10.0.0.1", sent=3, received=20)
    row = table("egress", [*opened, *served]).row(0, named=True)
    assert (row["outbound_bytes"], row["inbound_bytes"]) == (70, 10)


def test_volumes_inside_and_outside_are_left_out() -> None:
    rows = [*exchange("10.0.0.1", "10.0.0.2"), *exchange(OUTSIDE, "203.0.113.2")]
    assert table("egress", rows).is_empty()


def test_examples_are_the_smallest_and_few() -> None:
    rows = [attempt(OUTSIDE, INSIDE, port) for port in range(100, 60, -1)]
    assert table("pair", rows)["example_ports"].to_list() == [list(range(61, 61 + EXAMPLES))]


def contacts_of(rows: list[dict[str, Any]]) -> tuple[pl.DataFrame, dict[tuple[Any, ...], oracle.Contact]]:
    flows = records(rows).flows
    return merged(fold(flows), by_pane=False), oracle.window(oracle.fold(flows.to_dicts()))


@strategies.quick
@given(strategies.rows())
def test_pairs_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    contacts, expected = contacts_of(rows)
    vain = oracle.failed(expected)
    pairs = TABLES["pair"](contacts)
    assert {key[:2] for key in expected} == set(pairs.select("source_key", "target_key").rows())
    for pair in pairs.rows(named=True):
        mine = {key: each for key, each in expected.items() if key[:2] == (pair["source_key"], pair["target_key"])}
        failed = {key: each for key, each in mine.items() if key in vain}
        assert pair["failed_ports"] == len({key[2] for key in failed})
        assert pair["ports"] == len({key[2] for key in mine})
        assert pair["rejected"] == sum(each["rejected"] for each in mine.values())
        assert pair["example_ports"] == sorted({key[2] for key in failed})[:EXAMPLES]
        assert pair["protocols"] == sorted({key[3] for key in failed})
        assert pair["first_seen"] == min((each["first_seen"] for each in failed.values()), default=None)
        assert pair["last_seen"] == max((each["last_seen"] for each in failed.values()), default=None)


@strategies.quick
@given(strategies.rows())
def test_services_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    contacts, expected = contacts_of(rows)
    vain = oracle.failed(expected)
    services = TABLES["service"](contacts)
    assert {(key[0], *key[2:]) for key in expected} == set(services.select("source_key", "port", "protocol").rows())
    for service in services.rows(named=True):
        name = (service["source_key"], service["port"], service["protocol"])
        mine = {key for key in expected if (key[0], *key[2:]) == name}
        assert service["failed_targets"] == len({key[1] for key in mine & vain})
        assert service["targets"] == len({key[1] for key in mine})
        assert service["example_targets"] == sorted({key[1] for key in mine & vain})[:EXAMPLES]


@strategies.quick
@given(strategies.rows())
def test_volumes_and_refusals_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    contacts, expected = contacts_of(rows)
    sent: dict[tuple[int, int], list[int]] = {}
    refused: dict[int, int] = {}
    sources: dict[int, set[int]] = {}
    for (source, target, _, _), each in expected.items():
        if each["source_internal"] and not each["target_internal"]:
            volume = sent.setdefault((source, target), [0, 0])
            volume[0] += each["request_bytes"]
            volume[1] += each["answer_bytes"]
        if each["target_internal"] and not each["source_internal"]:
            volume = sent.setdefault((target, source), [0, 0])
            volume[0] += each["answer_bytes"]
            volume[1] += each["request_bytes"]
        if each["rejected"]:
            refused[target] = refused.get(target, 0) + each["rejected"]
            sources.setdefault(target, set()).add(source)
    egress = TABLES["egress"](contacts).select("source_key", "target_key", "outbound_bytes", "inbound_bytes")
    assert {(source, target): [out, back] for source, target, out, back in egress.rows()} == sent
    target = TABLES["target"](contacts)
    assert dict(target.select("target_key", "rejected").rows()) == refused
    assert dict(target.select("target_key", "sources").rows()) == {key: len(each) for key, each in sources.items()}
    outbound: dict[int, int] = {}
    for (source, _), (out, _) in sent.items():
        outbound[source] = outbound.get(source, 0) + out
    kept = {key: (outbound.get(key, 0), refused.get(key, 0)) for key in {*outbound, *refused}}
    hosts = TABLES["host"](contacts).select("key", "outbound_bytes", "rejected")
    assert {key: (out, rejected) for key, out, rejected in hosts.rows()} == kept
