"""The same statistics, worked out one record at a time with dictionaries."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import polars as pl

from detectors.statistics.volumes import RECEIVER, SENDER, UNKNOWN

Row = Mapping[str, Any]
Key = tuple[Any, ...]
Contact = dict[str, Any]

SERVICE_PORTS = {22, 80, 443, 8080, 0}
"""Those of the ports in these tests that are a service's."""

_COUNTS = ("requests", "rejected", "answers")
_ENDS = ("source", "destination")


def answers(row: Row) -> bool:
    """Whether a record goes back to whoever opened the conversation: flags, service port, ephemeral range."""
    flags = row["tcp_flags"] or 0
    if flags in {2, 3, 6, 7}:
        return False
    if flags in {18, 19, 22, 23}:
        return True
    source, destination = row["source_port"], row["destination_port"]
    if (source in SERVICE_PORTS) != (destination in SERVICE_PORTS):
        return source in SERVICE_PORTS
    return bool(source < 32768 <= destination)


def fold(flows: Iterable[Row]) -> dict[Key, Contact]:
    """Contacts by pane, source, target, port and protocol."""
    contacts: dict[Key, Contact] = {}
    for row in flows:
        back = answers(row)
        flags = row["tcp_flags"] or 0
        passed = row["action"] == "ACCEPT"
        source, target = ("destination", "source") if back else ("source", "destination")
        key = (
            row["end"] // 60 * 60,
            row[f"{source}_key"],
            row[f"{target}_key"],
            row[f"{target}_port"],
            row["protocol"],
        )
        contact = contacts.setdefault(
            key,
            {
                "source_internal": row[f"{source}_internal"],
                "target_internal": row[f"{target}_internal"],
                **dict.fromkeys(_COUNTS, 0),
                "lasting": False,
                "first_seen": row["start"],
                "last_seen": row["end"],
            },
        )
        contact["first_seen"] = min(contact["first_seen"], row["start"])
        contact["last_seen"] = max(contact["last_seen"], row["end"])
        weight = row["weight"] * _counts(row)
        if back:
            contact["answers"] += weight * passed
        else:
            contact["requests"] += weight
            contact["rejected"] += weight * (not passed)
            contact["lasting"] |= not _asked_again(row) and (row["packets"] > 2 * row["weight"] or bool(flags & 17))
    return contacts


def _asked_again(row: Row) -> bool:
    """A SYN, and up to six more of the same size."""
    packets, volume = row["packets"], row["bytes"]
    syn = row["protocol"] == 6 and row["tcp_flags"] in {None, 2, 6}
    return bool(
        syn and 0 < packets <= 7 * row["weight"] and 40 * packets <= volume <= 80 * packets and volume % packets == 0
    )


def answered(flows: Collection[Row]) -> dict[Key, Contact]:
    """Contacts as `fold` gives them, with what came back where a record does not tell it from a request.

    In ICMP, that is what the other end sent in the same pane; between ports that tell nothing, what passed the
    other way in the same 5-tuple within this pane or the five before it.
    """
    folded = fold(flows)
    passed = _passed(flows)
    contacts = {key: dict(contact) for key, contact in folded.items()}
    for (pane, source, target, port, protocol), contact in contacts.items():
        if protocol in {1, 58} and (returned := folded.get((pane, target, source, port, protocol))):
            contact["answers"] += returned["requests"] - returned["rejected"]
    for pane, source, source_port, destination, destination_port, protocol in passed:
        contact = contacts.get((pane, source, destination, destination_port, protocol), {"answers": 0})
        other_way = (destination, destination_port, source, source_port, protocol)
        contact["answers"] += sum(passed.get((pane - 60 * ago, *other_way), 0) for ago in range(6))
    return contacts


def window(contacts: Mapping[Key, Contact], panes: Collection[int] | None = None) -> dict[Key, Contact]:
    """Contacts summed over some panes, or all: by source, target, port and protocol."""
    summed: dict[Key, Contact] = {}
    for (pane, *key), contact in contacts.items():
        if panes is not None and pane not in panes:
            continue
        before = summed.get(tuple(key))
        if before is None:
            summed[tuple(key)] = dict(contact)
            continue
        for name in _COUNTS:
            before[name] += contact[name]
        before["lasting"] |= contact["lasting"]
        before["first_seen"] = min(before["first_seen"], contact["first_seen"])
        before["last_seen"] = max(before["last_seen"], contact["last_seen"])
    return summed


def failed(contacts: Mapping[Key, Contact]) -> set[Key]:
    """Keys of contacts that were tried in vain, on ports that answered over no protocol."""
    answered = {key[:3] for key, contact in contacts.items() if contact["answers"]}
    return {key for key, contact in contacts.items() if key[:3] not in answered and in_vain(contact)}


def in_vain(contact: Contact) -> bool:
    """Say whether something was asked that nobody let pass, or that did not last."""
    return bool(contact["requests"] and (contact["rejected"] or not contact["lasting"]))


def hashed(name: str | None) -> int:
    """The hash of an interface's name, as this process makes it."""
    return int(pl.Series([name], dtype=pl.String).hash()[0])


def volumes(flows: Iterable[Row]) -> dict[Key, tuple[int, int]]:
    """Bytes and packets by pane, sender, receiver, reporting end and interface: second by second."""
    sums: dict[Key, list[int]] = {}
    for row in flows:
        if row["action"] != "ACCEPT":
            continue
        reporter = reporting(row)
        interface = hashed(row["interface_id"]) if reporter == UNKNOWN else 0
        of = (row["source_key"], row["destination_key"], reporter, interface)
        for pane, *amounts in _spread(row):
            total = sums.setdefault((pane, *of), [0, 0])
            total[:] = [one + other for one, other in zip(total, amounts, strict=True)]
    return {key: (sent, packets) for key, (sent, packets) in sums.items()}


def reporting(row: Row) -> int:
    """Which end's interface reported a record: as its direction says, else the only end that is internal."""
    if row["direction"] is not None:
        return SENDER if row["direction"] == "egress" else RECEIVER
    sender, receiver = (row[f"{end}_internal"] for end in _ENDS)
    if sender == receiver:
        return UNKNOWN
    return SENDER if sender else RECEIVER


def egress(flows: Iterable[Row], panes: Collection[int] | None = None) -> dict[Key, tuple[int, int]]:
    """Bytes out and in by own host and outside peer, in some panes or all, by the own host's own reports."""
    flows = list(flows)
    inside = {row[f"{end}_key"]: row[f"{end}_internal"] for row in flows for end in _ENDS}
    sums: dict[Key, list[int]] = {}
    for (pane, sender, receiver, reporter, _), (sent, _) in volumes(flows).items():
        if panes is not None and pane not in panes:
            continue
        if inside[sender] and not inside[receiver] and reporter == SENDER:
            sums.setdefault((sender, receiver), [0, 0])[0] += sent
        if inside[receiver] and not inside[sender] and reporter == RECEIVER:
            sums.setdefault((receiver, sender), [0, 0])[1] += sent
    return {key: (out, back) for key, (out, back) in sums.items()}


def _counts(row: Row) -> bool:
    """Whether a record is more than a reset."""
    return (row["tcp_flags"] or 0) not in {4, 20}


def _passed(flows: Iterable[Row]) -> dict[Key, int]:
    """Records let through, by pane and 5-tuple, where ports leave open who opened the conversation."""
    passed: dict[Key, int] = {}
    for row in flows:
        source, destination = row["source_port"], row["destination_port"]
        alike = (source in SERVICE_PORTS) == (destination in SERVICE_PORTS)
        if alike and (source < 32768) == (destination < 32768) and (source or destination):
            pane = row["end"] // 60 * 60
            key = (pane, row["source_key"], source, row["destination_key"], destination, row["protocol"])
            counted = row["weight"] * (row["action"] == "ACCEPT" and _counts(row))
            passed[key] = passed.get(key, 0) + counted
    return passed


def _spread(row: Row) -> Iterable[tuple[int, int, int]]:
    """Panes that a record touches, and what has passed in each, were it to flow evenly and in whole numbers."""
    end = row["end"]
    begin = max(row["start"], end - 600)
    totals = row["bytes"] * row["weight"], row["packets"] * row["weight"]
    # Where there is no time to spread over, the one pane has all of it.
    parts = {pane: [0, 0] if end > begin else list(totals) for pane in range(begin // 60 * 60, end + 1, 60)}
    for second in range(begin, end):
        part = parts[second // 60 * 60]
        for index, total in enumerate(totals):
            before, after = (total * (moment - begin) // (end - begin) for moment in (second, second + 1))
            part[index] += after - before
    return [(pane, sent, packets) for pane, (sent, packets) in parts.items()]


def hosts(flows: Iterable[Row]) -> set[tuple[Any, ...]]:
    """Rows of the directory: both ends of each record, and who reported it; the interface only of its own host."""
    listed = set()
    for row in flows:
        for end, own in zip(_ENDS, (SENDER, RECEIVER), strict=True):
            interface = row["interface_id"] if reporting(row) == own else None
            pane, *rest = row["end"] // 60 * 60, *(row[f"{end}_{name}"] for name in _OF_HOSTS)
            listed.add((pane, *rest, row["account_id"], row["vpc_id"], interface))
    return listed


_OF_HOSTS = ("key", "scope", "high", "low", "internal")
