from collections.abc import Sequence

import polars as pl

from detectors.examples import records
from detectors.statistics import connections
from detectors.statistics.connections import ACCEPTED, CONNECTIONS, ENDED, FLAGGED, LOGIN_PORTS, OPENED, watched
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, exchange

NOTHING = CONNECTIONS.to_frame()


def folded(rows: Sequence[Row]) -> pl.DataFrame:
    return connections.fold(records(rows).flows, watched(LOGIN_PORTS))


def young(rows: Sequence[Row], pane: int = 0) -> pl.DataFrame:
    """The connections that begin in a pane."""
    return pl.DataFrame(connections.begun(folded(rows).sort("pane"), at(pane), at(pane + 1)))


def test_both_directions_are_one_connection() -> None:
    (row,) = folded(exchange(OUTSIDE, INSIDE, 22, sent=700, received=800)).to_dicts()
    assert (row["port"], row["sent_bytes"], row["received_bytes"], row["source_internal"]) == (22, 700, 800, False)
    assert row["signs"] == 1 | FLAGGED | OPENED | ACCEPTED | ENDED


def test_what_two_interfaces_logged_is_taken_from_the_one_that_saw_more() -> None:
    rows = exchange(OUTSIDE, INSIDE, 22, sent=700, received=800)
    more = [{**row, "interface_id": "eni-2", "bytes": row["bytes"] + 5} for row in rows]
    (row,) = young([*rows, *more]).to_dicts()
    assert (row["sent_bytes"], row["received_bytes"], row["sent_packets"]) == (705, 805, 10)


def test_a_connection_in_pieces_counts_where_it_begins_with_all_of_them() -> None:
    rows = [{**row, "end": at(pane)} for pane in (1, 2, 3) for row in exchange(OUTSIDE, INSIDE, 22, sent=700)]
    assert [young(rows, pane)["sent_bytes"].to_list() for pane in range(5)] == [[], [2100], [], [], []]


def test_chatty_services_other_protocols_and_large_records_elsewhere_are_left_out() -> None:
    rows = [
        *exchange(OUTSIDE, INSIDE, 443),
        *exchange(OUTSIDE, INSIDE, 22, protocol=17),
        *exchange(OUTSIDE, INSIDE, 2222, packets=1000),
    ]
    assert folded(rows).is_empty()
    assert len(folded([*exchange(OUTSIDE, INSIDE, 2222), *exchange(OUTSIDE, INSIDE, 22, packets=1000)])) == 2


def test_a_login_service_among_the_chatty_ones_is_watched_when_it_is_said_to_be_one() -> None:
    flows = records(exchange(OUTSIDE, INSIDE, 8443)).flows
    assert connections.fold(flows, watched([*LOGIN_PORTS, 8443]))["port"].to_list() == [8443]


def test_nothing_begins_where_there_is_nothing() -> None:
    begun = pl.DataFrame(connections.begun(NOTHING, at(0), at(1)))
    assert begun.is_empty()
    assert begun.schema == CONNECTIONS
