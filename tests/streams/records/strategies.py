"""Lines, good and bad, and whole tables, for property tests."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from tests.streams.records.oracle import DEFAULT

EVERY_FIELD = (
    *DEFAULT,
    *("vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr"),
    *("region", "az-id", "sublocation-type", "sublocation-id"),
    *("pkt-src-aws-service", "pkt-dst-aws-service", "flow-direction", "traffic-path"),
    *("ecs-cluster-arn", "ecs-cluster-name", "ecs-container-instance-arn", "ecs-container-instance-id"),
    *("ecs-container-id", "ecs-second-container-id", "ecs-service-name", "ecs-task-definition-arn"),
    *("ecs-task-arn", "ecs-task-id", "reject-reason", "resource-id", "encryption-status"),
    *("instance-tag", "instance-tag-2", "interface-tag", "interface-tag-2", "asg-tag", "asg-tag-2"),
    *("interface-type", "next-hop-interface-id", "next-hop-subnet-id", "next-hop-az-id", "next-hop-vpc-id"),
    "next-hop-interface-type",
)

ipv4 = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number))),
    st.builds("10.0.{}.{}".format, st.integers(0, 1), st.integers(0, 9)),
)
ipv6 = st.one_of(
    st.integers(0, 2**128 - 1).map(lambda number: str(IPv6Address(number))),
    st.integers(0, 2**16).map(lambda number: str(IPv6Address(0x20010DB8 << 96 | number))),
    st.integers(0, 2**128 - 1).map(lambda number: IPv6Address(number).exploded.upper()),
    st.sampled_from(["::", "::1", "1::", "::ffff:192.0.2.1", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8"]),
)
addresses = st.one_of(ipv4, ipv4, ipv6)
counts = st.one_of(st.integers(0, 2**63 - 1), st.integers(0, 99_999_999))
texts = st.text("abcdefghijklmnopqrstuvwxyz0123456789-:/%_.", min_size=1, max_size=40)
starts = st.integers(1_600_000_000, 1_800_000_000)

_NUMBERS = {
    "version": st.integers(2, 11),
    "srcport": st.integers(0, 65_535),
    "dstport": st.integers(0, 65_535),
    "protocol": st.integers(0, 255),
    "packets": counts,
    "bytes": counts,
    "tcp-flags": st.integers(0, 255),
    "traffic-path": st.integers(1, 8),
    "encryption-status": st.integers(0, 3),
}


def field(name: str) -> st.SearchStrategy[str]:
    if name in _NUMBERS:
        return _NUMBERS[name].map(str)
    if name in {"srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"}:
        return addresses
    if name == "action":
        return st.sampled_from(["ACCEPT", "REJECT"])
    if name == "flow-direction":
        return st.sampled_from(["ingress", "egress"])
    return texts


@st.composite
def records(draw: st.DrawFn, names: tuple[str, ...] = DEFAULT) -> dict[str, str]:
    """Draw one record that every reader must accept."""
    record = {name: draw(field(name)) for name in names}
    start = draw(starts)
    record |= {"start": str(start), "end": str(start + draw(st.integers(0, 600))), "log-status": "OK"}
    if draw(st.integers(0, 9)) == 0:
        kept = {"version", "account-id", "interface-id", "start", "end"}
        record = {name: text if name in kept else "-" for name, text in record.items()}
        record["log-status"] = draw(st.sampled_from(["NODATA", "SKIPDATA"]))
    missing = draw(st.sets(st.sampled_from(EVERY_FIELD[len(DEFAULT) :]), max_size=8))
    record |= dict.fromkeys(missing & set(names), "-")
    return {name: record[name] for name in names}


odd_values = st.one_of(
    st.sampled_from(
        (
            *("", "-", "--", "+5", "-5", "0x5", "5.0", "1e3", "007", "00000000000000000000443", "65536", "256"),
            *("99999999999999999999", "9223372036854775807", "9223372036854775808", "18446744073709551616"),
            *("\u0665", "\uff15", "4\x005", "\r", "5\r", "192.0.2", "192.0.2.1.1", "192.0.2.256", "192.0.02.1"),
            *("192.0.2.1/24", "1:2", ":::", "fe80::1%eth0", "::ffff:1.2.3.400", '"ACCEPT"', "accept", "ACCEPTED"),
            *("NULL", "OKAY", "SKIPDATAX", "12345678901234567", "5" * 300, "\x7f", "\u00e9"),
        )
    ),
    st.text(st.characters(blacklist_characters="\n", codec="utf-8"), max_size=12),
)


@st.composite
def lines(draw: st.DrawFn, names: tuple[str, ...] = DEFAULT) -> bytes:
    """Draw one line, whole or spoilt."""
    fields = list(draw(records(names)).values())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        place = draw(st.integers(0, len(fields) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                del fields[place]
            case 1:
                fields.insert(place, draw(odd_values))
            case _:
                fields[place] = draw(odd_values)
        if not fields:
            break
    separator = draw(st.sampled_from([" ", " ", " ", "\t", ","]))
    line = separator.join(fields).encode()
    match draw(st.integers(0, 19)):
        case 0:
            return draw(st.binary(max_size=40)).replace(b"\n", b"")
        case 1:
            return line + draw(st.sampled_from([b" ", b"  ", b"\t", b",", b" x", b"\xff"]))
        case 2:
            return line.replace(b" ", b"\t", 1)
        case _:
            return line
