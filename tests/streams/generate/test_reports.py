"""What interfaces log of a single conversation."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from streams.generate.conversation import TCP, UDP, Outcome, conversations
from streams.generate.network import Network, Role
from streams.generate.reports import reports

NETWORK = Network.invented(40, np.random.default_rng(5))
ROLES = NETWORK.vpcs[0].roles
BEGIN = 1_700_000_000


def logged(client: Role, server: Role, **said: Any) -> pl.DataFrame:
    talked = conversations(
        np.random.default_rng(1),
        client=ROLES[client][:1],
        server=ROLES[server][:1],
        server_port=443,
        begin=np.array([BEGIN]),
        **said,
    )
    return reports(talked, NETWORK)


def flags(records: pl.DataFrame, client: Role) -> tuple[set[int], set[int]]:
    up = pl.col("source") == int(ROLES[client][0])
    return set(records.filter(up)["tcp_flags"]), set(records.filter(~up)["tcp_flags"])


def test_a_short_internal_conversation_makes_four_records() -> None:
    records = logged(Role.WEB, Role.APPLICATION, sent=500, received=5000)
    assert len(records) == 4
    assert records["reporter"].n_unique() == 2
    assert flags(records, Role.WEB) == ({3}, {19})


def test_an_outside_end_reports_nothing() -> None:
    assert len(logged(Role.VISITOR, Role.LOAD_BALANCER, sent=500, received=5000)) == 2


def test_a_refused_attempt_is_accepted_at_its_client_and_rejected_at_its_server() -> None:
    records = logged(Role.WORKER, Role.DATABASE, outcome=Outcome.REFUSED)
    rejected = dict(records.group_by("egress").agg(pl.col("rejected").all()).rows())
    assert rejected == {True: False, False: True}
    assert set(records["tcp_flags"]) == {2}


def test_a_silent_target_without_an_interface_is_seen_by_the_client_alone() -> None:
    records = logged(Role.WORKER, Role.UNUSED, outcome=Outcome.SILENT)
    assert records.select("rejected", "tcp_flags", "egress").unique().rows() == [(False, 2, True)]


def test_a_closed_port_answers_with_a_reset() -> None:
    assert flags(logged(Role.WORKER, Role.DATABASE, outcome=Outcome.RESET), Role.WORKER) == ({2}, {4})


def test_a_nat_gateway_logs_both_its_sides() -> None:
    gateway = int(ROLES[Role.NAT_GATEWAY][0])
    records = logged(Role.WORKER, Role.SITE, sent=500, received=5000, translator=gateway)
    worker, site = int(ROLES[Role.WORKER][0]), int(ROLES[Role.SITE][0])
    ends = records.select("source", "destination", "packet_source", "packet_destination").rows()
    assert set(ends) == {
        (worker, site, worker, site),
        (site, worker, site, worker),
        (worker, gateway, worker, site),
        (gateway, site, gateway, site),
        (site, gateway, site, gateway),
        (gateway, worker, site, worker),
    }


@pytest.mark.parametrize(("protocol", "seconds"), [(TCP, 599), (TCP, 61), (UDP, 300), (TCP, 0)])
def test_cutting_loses_no_byte_and_no_packet(protocol: int, seconds: int) -> None:
    said = {"sent": 1_234_567, "received": 7_654_321, "protocol": protocol, "seconds": seconds}
    header, packets_up = (52, 4 + 882 + 5468 // 2) if protocol == TCP else (28, 882)
    up = logged(Role.WEB, Role.APPLICATION, **said).filter(pl.col("source") == int(ROLES[Role.WEB][0]), "egress")
    assert up["packets"].sum() == packets_up
    assert up["bytes"].sum() == 1_234_567 + header * packets_up
    assert (up["start"].min(), up["end"].max()) == (BEGIN, BEGIN + seconds)


def test_flags_of_a_long_conversation_stand_in_its_first_and_last_interval() -> None:
    records = logged(Role.WEB, Role.APPLICATION, sent=10**6, received=10**6, seconds=500)
    one = records.filter(pl.col("egress"), pl.col("source") == int(ROLES[Role.WEB][0])).sort("start")
    assert one["tcp_flags"].to_list() == [2, *[0] * (len(one) - 2), 1]


def test_the_handshake_is_in_the_first_interval() -> None:
    records = logged(Role.WEB, Role.APPLICATION, sent=2000, received=2000, seconds=900)
    assert records.filter(pl.col("start") == BEGIN)["packets"].min() == 3


def test_a_standing_connection_shows_no_flags() -> None:
    records = logged(Role.WEB, Role.APPLICATION, sent=10**6, received=10**6, seconds=500, standing=True)
    assert set(records["tcp_flags"]) == {0}
