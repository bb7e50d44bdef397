"""Records of interfaces that log packets of others: NAT gateways, transit gateways, nodes of pods."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pytest

from detectors.finding import Finding
from detectors.statistics.forwarders import FORWARDERS, fold, true_ends
from detectors.table import Table
from streams.records import Message, decode_all
from streams.records.settings import NetworkSettings, RecordSettings
from tests.streams.flow_lines import NINE
from tests.streams.found import process

FIELDS = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status vpc-id tcp-flags pkt-srcaddr pkt-dstaddr"
)
HOST, GATEWAY, OUTSIDE = "10.0.1.5", "10.0.0.4", "198.51.100.7"


def line(source: str, destination: str, port: int = 443, *, inside: tuple[str, str] | None = None, **said: Any) -> str:
    """One record; `inside` are the ends inside the packet, by default those outside it."""
    ends = inside or (source, destination)
    end = said.get("end", NINE + 30)
    interface = said.get("interface", "eni-1")
    packets, size, flags = said.get("packets", 1), said.get("size", 40), said.get("flags", 2)
    words = (
        f"5 123456789012 {interface} {source} {destination} {said.get('client', 40_000)} {port} 6 {packets} {size}"
        f" {end - 5} {end} ACCEPT OK vpc-1 {flags} {ends[0]} {ends[1]}"
    )
    return words + (f" {said['direction']}" if "direction" in said else "")


def header(*, direction: bool = False) -> str:
    return FIELDS + (" flow-direction" if direction else "")


def decoded(*lines: str, direction: bool = False) -> Table:
    value = "\n".join([header(direction=direction), *lines]).encode()
    found = decode_all([Message(value)], RecordSettings(), NetworkSettings())
    assert found.refused.is_empty()
    return found.table


def through_a_gateway(
    port: int, *, size: int = 40, packets: int = 1, own: bool = True, end: int = NINE + 30
) -> Iterator[str]:
    """What one connection of a host to the outside leaves: at its own interface, and twice at the gateway's."""
    said: dict[str, Any] = {"size": size, "packets": packets, "client": 40_000 + port, "end": end}
    if own:
        yield line(HOST, OUTSIDE, port, interface="eni-host", direction="egress", **said)
    leg = HOST, OUTSIDE
    yield line(HOST, GATEWAY, port, inside=leg, interface="eni-nat", direction="ingress", **said)
    yield line(GATEWAY, OUTSIDE, port, interface="eni-nat", direction="egress", **said)


def found(lines: Sequence[str]) -> list[Finding]:
    outcome = process([header(direction=True), *lines])
    return list({finding.id: finding for finding in outcome.findings}.values())


def test_keys_are_those_of_the_ends_inside_the_packet_and_addresses_stay_as_they_were_logged() -> None:
    straight, forwarded = decoded(line(HOST, OUTSIDE), line(HOST, GATEWAY, inside=(HOST, OUTSIDE))).frame.to_dicts()
    for name in ("source_key", "destination_key", "destination_internal", "destination_scope"):
        assert forwarded[name] == straight[name]
    assert forwarded["destination_low"] != straight["destination_low"]


def test_the_gateway_is_told_by_the_key_that_it_has_as_a_host() -> None:
    table = decoded(line(HOST, GATEWAY, inside=(HOST, OUTSIDE)), line(GATEWAY, OUTSIDE), line(HOST, OUTSIDE)).frame
    first, second, third = table["forwarder_key"]
    assert first == table["source_key"][1]
    assert (second, third) == (None, None)


def test_who_answers_through_a_gateway_is_forwarded_for_too() -> None:
    answer, own = decoded(line(GATEWAY, HOST, inside=(OUTSIDE, HOST)), line(GATEWAY, OUTSIDE)).frame.to_dicts()
    assert answer["forwarder_key"] == own["source_key"]


def test_no_row_tells_of_a_gateway_where_only_own_hosts_are_behind_a_node() -> None:
    assert "forwarder_key" not in decoded(line("10.0.1.9", OUTSIDE, inside=("10.0.2.20", OUTSIDE))).frame.columns


def test_a_packet_without_ends_inside_has_the_ends_outside() -> None:
    said = line(HOST, OUTSIDE).rsplit(" ", 2)[0] + " - -"
    plain, other = decoded(said, line(HOST, OUTSIDE)).frame.to_dicts()
    assert plain["destination_key"] == other["destination_key"]


def test_addresses_go_with_the_keys_once_the_stages_have_them() -> None:
    table = decoded(line(HOST, GATEWAY, inside=(HOST, OUTSIDE)), line(HOST, OUTSIDE))
    forwarded, straight = true_ends(table.flows).to_dicts()
    assert (forwarded["destination_high"], forwarded["destination_low"]) == (
        straight["destination_high"],
        straight["destination_low"],
    )
    assert (forwarded["direction"], forwarded["interface_id"]) == ("ingress", None)
    assert (straight["direction"], straight["interface_id"]) == (None, "eni-1")


@pytest.mark.parametrize("inside", [None, ("10.0.1.9", OUTSIDE)])
def test_what_is_not_translated_stays_as_it_is(inside: tuple[str, str] | None) -> None:
    flows = decoded(line("10.0.1.9", OUTSIDE, inside=inside, direction="egress"), direction=True).flows
    assert true_ends(flows) is flows


def test_a_pod_is_reported_by_the_interface_of_its_node() -> None:
    (pod,) = true_ends(decoded(line("10.0.1.9", OUTSIDE, inside=("10.0.2.20", OUTSIDE))).flows).to_dicts()
    assert (pod["direction"], pod["interface_id"]) == ("egress", "eni-1")


def test_forwarders_are_listed_once_a_pane() -> None:
    lines = [line(HOST, GATEWAY, port, inside=(HOST, OUTSIDE), end=NINE + 30 + 60 * (port % 2)) for port in range(1, 9)]
    listed = fold(decoded(*lines).flows)
    assert listed.schema == FORWARDERS
    assert listed["pane"].to_list() == [NINE, NINE + 60]
    assert listed["key"].n_unique() == 1
    assert fold(decoded(line(HOST, OUTSIDE)).flows).schema == FORWARDERS


def test_at_most_so_many_forwarders_are_kept_of_a_pane() -> None:
    flows = pl.DataFrame({"end": [NINE] * 5_000, "forwarder_key": pl.Series(range(5_000), dtype=pl.UInt64)})
    assert fold(flows)["key"].to_list() == list(range(4_096))


def test_a_scan_through_a_gateway_is_one_finding_about_the_host_that_scans() -> None:
    lines = [each for port in range(1000, 1030) for each in through_a_gateway(port)]
    (scan,) = found(lines)
    assert (scan.kind, scan.source, scan.target, scan.value) == ("vertical_scan", HOST, OUTSIDE, 30)
    assert scan.interface_id == "eni-host"


def test_what_a_gateway_tries_by_itself_is_told_beside_scans_through_it() -> None:
    lines = [each for port in range(1000, 1030) for each in through_a_gateway(port)]
    lines += [
        line(GATEWAY, "203.0.113.8", port, interface="eni-nat", direction="egress", client=50_000 + port)
        for port in range(1000, 1020)
    ]
    lines += [line("203.0.113.9", HOST, port, interface="eni-host", direction="ingress") for port in range(1, 21)]
    assert sorted((scan.source, scan.target) for scan in found(lines)) == [
        (GATEWAY, "203.0.113.8"),
        (HOST, OUTSIDE),
        ("203.0.113.9", HOST),
    ]


def test_a_sweep_through_a_gateway_is_one_finding_about_the_host_that_sweeps() -> None:
    lines = []
    for number in range(1, 61):
        peer = f"198.51.100.{number}"
        lines.append(line(HOST, peer, 23, interface="eni-host", direction="egress"))
        lines.append(line(HOST, GATEWAY, 23, inside=(HOST, peer), interface="eni-nat", direction="ingress"))
        lines.append(line(GATEWAY, peer, 23, interface="eni-nat", direction="egress"))
    (sweep,) = found(lines)
    assert (sweep.kind, sweep.source, sweep.value) == ("horizontal_scan", HOST, 60)


def test_a_host_without_a_flow_log_of_its_own_is_told_by_what_the_gateway_logs() -> None:
    lines = [each for port in range(1000, 1030) for each in through_a_gateway(port, own=False)]
    (scan,) = found(lines)
    assert (scan.source, scan.target) == (HOST, OUTSIDE)


def test_a_leak_through_a_gateway_is_one_finding_about_the_host_and_counts_once() -> None:
    leak = through_a_gateway(443, size=150_000_000, packets=100_000)
    (burst,) = found(list(leak))
    assert (burst.kind, burst.source, burst.target) == ("exfiltration_burst", HOST, OUTSIDE)
    assert burst.evidence["bytes_out"] == 150_000_000
