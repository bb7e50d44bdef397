"""What the state must be, worked out from the lines alone with dictionaries: it shares no code with what it judges."""

from collections.abc import Iterable, Iterator
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any, Final, NamedTuple

FIELDS: Final = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status vpc-id tcp-flags type pkt-srcaddr pkt-dstaddr flow-direction"
)
"""How the lines are written."""

DEFAULT_FIELDS: Final = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)

_END: Final = FIELDS.split().index("end")

ALLOWED_LATENESS_SECONDS: Final = 900

INTERNAL: Final = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
SERVICES: Final = frozenset(range(1024)) | {
    1433, 1521, 2049, 2181, 3128, 3268, 3306, 3389, 4443, 5000, 5432, 5671, 5672, 5900, 5985, 5986, 6379, 6443, 8000,
    8080, 8081, 8443, 8888, 9000, 9042, 9090, 9092, 9200, 9300, 11211, 27017,
}  # fmt: skip

FIN, SYN, RST, ACK = 1, 2, 4, 16


class Contact(NamedTuple):
    """Who opened a conversation with whom in a minute."""

    pane: int
    source: str
    target: str
    port: int
    protocol: int


class Volume(NamedTuple):
    """Who sent something to whom in a minute, and which end said so: egress is the sender's, ingress the receiver's."""

    pane: int
    sender: str
    receiver: str
    reporter: str


Key = Contact | Volume
Counts = dict[str, Any]

ADDED: Final = frozenset({"requests", "rejected", "answers", "bytes", "packets"})
LARGEST: Final = frozenset({"lasting", "last_seen"})
SMALLEST: Final = frozenset({"first_seen"})


def told_apart(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """Tell lines that count from late ones, in their order in the log, by the newest one before each alone."""
    in_time: list[str] = []
    late: list[str] = []
    newest = 0
    for line in lines:
        ended = end(line)
        (late if ended // 60 < (newest - ALLOWED_LATENESS_SECONDS) // 60 else in_time).append(line)
        newest = max(newest, ended)
    return in_time, late


def end(line: str) -> int:
    """Return when a record ends, epoch seconds."""
    return int(line.split()[_END])


def contacts(lines: Iterable[str]) -> dict[Key, Counts]:
    """Count the contacts of lines."""
    found: dict[Key, Counts] = {}
    for row in _flows(lines):
        contact, counts = _counted(row)
        add(found, contact, counts)
    return found


def volumes(lines: Iterable[str]) -> dict[Key, Counts]:
    """Sum the volumes of lines that cross the border, each spread evenly over its ten last minutes at most."""
    found: dict[Key, Counts] = {}
    for row in _flows(lines):
        if row["action"] == "ACCEPT" and _internal(row["srcaddr"]) != _internal(row["dstaddr"]):
            for pane, counts in _shares(row).items():
                add(found, Volume(pane, row["srcaddr"], row["dstaddr"], _reporter(row)), counts)
    return found


def concerned(line: str) -> set[str]:
    """Name whom a line is about: both ends, and the gateway that forwards for one outside."""
    row = dict(zip(FIELDS.split(), line.split(), strict=True))
    if row["log-status"] != "OK":
        return set()
    true = _with_true_ends(row)
    ends = ("srcaddr", "dstaddr")
    gateways = [row[end] for end in ends if true[end] != row[end] and not _internal(true[end])]
    return {*(true[end] for end in ends), *gateways[:1]}


def of_default_format(line: str) -> str:
    """Write a line of AWS's default format with all fields."""
    row = dict(zip(DEFAULT_FIELDS.split(), line.split(), strict=True))
    return " ".join(row.get(name, "-") for name in FIELDS.split())


def fields(line: str, names: str) -> str:
    """Take some of the fields of a line."""
    row = dict(zip(FIELDS.split(), line.split(), strict=True))
    return " ".join(row[name] for name in names.split())


def add(found: dict[Key, Counts], key: Key, counts: Counts) -> None:
    """Add counts to those of a key."""
    before = found.get(key)
    if before is None:
        found[key] = dict(counts)
        return
    for name, value in counts.items():
        if name in ADDED:
            before[name] += value
        elif name in LARGEST:
            before[name] = max(before[name], value)
        elif name in SMALLEST:
            before[name] = min(before[name], value)
        else:
            assert before[name] == value, (key, name)


def _flows(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    for line in lines:
        row = dict(zip(FIELDS.split(), line.split(), strict=True))
        if row["log-status"] == "OK":
            yield _with_true_ends(row)


def _with_true_ends(row: dict[str, str]) -> dict[str, str]:
    """Put the ends inside the packet in place of those outside; who translated one sits at that end."""
    ends = {name: row[f"pkt-{name}"] for name in ("srcaddr", "dstaddr") if row[f"pkt-{name}"] != "-"}
    if row["flow-direction"] == "-":
        for name, direction in (("dstaddr", "ingress"), ("srcaddr", "egress")):
            if ends.get(name, row[name]) != row[name]:
                ends["flow-direction"] = direction
    return row | ends


def _shares(row: dict[str, str]) -> dict[int, Counts]:
    """Cut what a record carried at the begins of minutes, in whole numbers that add up."""
    end = int(row["end"])
    begin = max(int(row["start"]), end - 600)
    amounts = {name: int(row[name]) for name in ("bytes", "packets")}
    if begin == end:
        return {end // 60 * 60: amounts}

    def until(moment: int, amount: int) -> int:
        return amount * (min(max(moment, begin), end) - begin) // (end - begin)

    return {
        pane: {name: until(pane + 60, amount) - until(pane, amount) for name, amount in amounts.items()}
        for pane in range(begin // 60 * 60, end + 1, 60)
    }


def _reporter(row: dict[str, str]) -> str:
    if row["flow-direction"] != "-":
        return row["flow-direction"]
    sender, receiver = _internal(row["srcaddr"]), _internal(row["dstaddr"])
    return "unknown" if sender == receiver else "egress" if sender else "ingress"


def _counted(row: dict[str, str]) -> tuple[Contact, Counts]:
    flags = int(row["tcp-flags"]) if row["tcp-flags"] != "-" else 0
    back = _answers(int(row["srcport"]), int(row["dstport"]), flags)
    source, target, port = row["srcaddr"], row["dstaddr"], int(row["dstport"])
    if back:
        source, target, port = target, source, int(row["srcport"])
    contact = Contact(int(row["end"]) // 60 * 60, source, target, port, int(row["protocol"]))
    accepted, counts = row["action"] == "ACCEPT", not (flags & RST and not flags & (FIN | SYN))
    return contact, {
        "source_internal": _internal(source),
        "target_internal": _internal(target),
        "requests": int(not back and counts),
        "rejected": int(not back and counts and not accepted),
        "answers": int(back and counts and accepted),
        "lasting": not back and not _asked_again(row) and (int(row["packets"]) > 2 or bool(flags & (FIN | ACK))),
        "first_seen": int(row["start"]),
        "last_seen": int(row["end"]),
    }


def _asked_again(row: dict[str, str]) -> bool:
    packets, volume = int(row["packets"]), int(row["bytes"])
    syn = row["protocol"] == "6" and row["tcp-flags"] in {"-", "2", "6"}
    return syn and packets <= 7 and 40 * packets <= volume <= 80 * packets and volume % packets == 0


def _answers(source: int, destination: int, flags: int) -> bool:
    if flags & (SYN | ACK) == SYN:
        return False
    if flags & (SYN | ACK) == (SYN | ACK):
        return True
    if (source in SERVICES) != (destination in SERVICES):
        return source in SERVICES
    return source < 32768 <= destination


@cache
def _internal(address: str) -> bool:
    parsed = ip_address(address)
    return any(parsed in network for network in INTERNAL if network.version == parsed.version)
