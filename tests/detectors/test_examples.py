from detectors.addresses import MAPPED, host_key, scope_salt
from detectors.examples import LAST_PANE, START, records, traffic
from tests.detectors.records import INSIDE, OUTSIDE, attempt


def test_what_is_not_said_of_a_record_has_a_default() -> None:
    (row,) = records([attempt(OUTSIDE, INSIDE, 22)]).frame.to_dicts()
    assert (row["start"], row["end"], row["tcp_flags"], row["action"], row["weight"]) == (START, START, 2, "ACCEPT", 1)


def test_private_addresses_are_inside_and_in_the_scope_and_public_ones_in_none() -> None:
    (row,) = records([attempt(OUTSIDE, INSIDE, 22)], scope="vpc-3").frame.to_dicts()
    assert (row["source_internal"], row["source_scope"]) == (False, "")
    assert (row["destination_internal"], row["destination_scope"]) == (True, "vpc-3")


def test_keys_are_those_of_scope_and_address() -> None:
    frame = records([attempt(OUTSIDE, INSIDE, 22)], scope="vpc-3").frame
    low = frame["destination_low"].to_numpy()
    salt = low * 0 + scope_salt("vpc-3")
    assert low[0] == MAPPED + (10 << 24) + 9
    assert frame["destination_key"][0] == host_key(salt, low * 0, low)[0]


def test_traffic_lasts_sixteen_minutes_and_is_the_same_every_time() -> None:
    frame = traffic().frame
    assert min(frame["end"]) >= START
    assert LAST_PANE <= max(frame["end"]) < LAST_PANE + 60
    traffic.cache_clear()
    assert traffic().frame.equals(frame)


def test_traffic_over_ipv6_has_no_ipv4_in_it() -> None:
    flows = traffic(ipv6=True).flows
    assert min(flows["source_high"]) > 0
    assert min(flows["destination_high"]) > 0
    assert len(flows) == len(traffic().flows)


def test_quiet_hosts_take_part_besides() -> None:
    few, many = traffic().flows, traffic(quiet_hosts=5000).flows
    assert many["source_key"].n_unique() == few["source_key"].n_unique() + 5001
