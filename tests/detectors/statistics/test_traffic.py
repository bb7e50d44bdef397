"""The table `traffic`: what hosts did, by role and direction, each byte once however often it was reported."""

from typing import Any

import polars as pl
import pytest

from detectors.addresses import written
from detectors.contract import Need
from detectors.examples import START, records
from detectors.snapshot import Snapshot
from detectors.statistics.tables import TRAFFIC
from tests.detectors.records import OUTSIDE, Row, attempt, exchange

CLIENT, SERVER, OTHER = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def traffic(rows: list[Row]) -> dict[str, dict[str, Any]]:
    table = records(rows)
    names = {
        row[f"{end}_key"]: written(row[f"{end}_high"], row[f"{end}_low"])
        for row in table.frame.rows(named=True)
        for end in ("source", "destination")
    }
    told = Snapshot(table, START).table(Need("traffic", 1))
    assert told.schema == TRAFFIC
    return {names[row.pop("key")]: row for row in told.rows(named=True)}


def reported_twice(client: str, server: str, *, directions: bool, **said: Any) -> list[Row]:
    """A conversation between two own hosts: four records, two at each interface."""
    request, answer = exchange(client, server, sent=100, received=7000, **said)
    rows: list[Row] = []
    for interface, ways in (("eni-" + client, ("egress", "ingress")), ("eni-" + server, ("ingress", "egress"))):
        for record, way in zip((request, answer), ways, strict=True):
            rows.append({**record, "interface_id": interface, "direction": way if directions else None})
    return rows


@pytest.mark.parametrize("directions", [True, False])
def test_a_conversation_that_both_interfaces_report_counts_once(directions: bool) -> None:
    rows = [
        *reported_twice(CLIENT, SERVER, directions=directions),
        *reported_twice(CLIENT, OTHER, directions=directions),
        *reported_twice(OTHER, SERVER, directions=directions),
    ]
    told = traffic(rows)
    sent = {host: (row["internal_bytes_sent"], row["internal_bytes_received"]) for host, row in told.items()}
    assert sent == {CLIENT: (200, 14_000), SERVER: (14_000, 200), OTHER: (7_100, 7_100)}
    assert all(row["external_bytes_sent"] == row["external_bytes_received"] == 0 for row in told.values())


def test_what_an_own_host_exchanged_with_the_outside_counts_at_both_ends() -> None:
    told = traffic(exchange(CLIENT, OUTSIDE, sent=100, received=7000))
    assert (told[CLIENT]["external_bytes_sent"], told[CLIENT]["external_bytes_received"]) == (100, 7000)
    assert (told[OUTSIDE]["internal_bytes_sent"], told[OUTSIDE]["internal_bytes_received"]) == (7000, 100)
    assert (told[CLIENT]["internal"], told[OUTSIDE]["internal"]) == (True, False)


def test_requests_count_for_whoever_made_them_and_whoever_got_them() -> None:
    told = traffic([*exchange(OUTSIDE, SERVER), attempt(OUTSIDE, SERVER, 23, action="REJECT")])
    of = ("requests_made", "refusals_met", "requests_got", "rejected")
    assert [told[OUTSIDE][name] for name in of] == [1, 1, 0, 0]
    assert [told[SERVER][name] for name in of] == [0, 0, 1, 1]


def test_nothing_gives_no_rows() -> None:
    empty = Snapshot(records([]), START).table(Need("traffic", 5))
    assert empty.equals(pl.DataFrame(schema=TRAFFIC))
