"""The same statistics, worked out one record at a time with dictionaries."""

from collections.abc import Iterable, Mapping
from typing import Any

Contact = dict[str, Any]
SERVICE_PORTS = {22, 80, 443, 8080, 0}
"""Those of the ports in these tests that are a service's."""


def answers(row: Mapping[str, Any]) -> bool:
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


def fold(flows: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], Contact]:
    """Contacts by pane, source, target, port and protocol."""
    contacts: dict[tuple[Any, ...], Contact] = {}
    for row in flows:
        back = answers(row)
        flags = row["tcp_flags"] or 0
        resets = flags in {4, 20}
        passed = row["action"] == "ACCEPT"
        source, target = ("destination", "source") if back else ("source", "destination")
        pane = row["end"] // 60 * 60
        key = (pane, row[f"{source}_key"], row[f"{target}_key"], row[f"{target}_port"], row["protocol"])
        contact = contacts.setdefault(
            key,
            {
                "source_internal": row[f"{source}_internal"],
                "target_internal": row[f"{target}_internal"],
                **dict.fromkeys(("requests", "rejected", "answers", "request_bytes", "answer_bytes"), 0),
                "lasting": False,
                "first_seen": row["start"],
                "last_seen": row["end"],
            },
        )
        contact["first_seen"] = min(contact["first_seen"], row["start"])
        contact["last_seen"] = max(contact["last_seen"], row["end"])
        weight = row["weight"]
        if back:
            contact["answers"] += weight * (passed and not resets)
            contact["answer_bytes"] += weight * row["bytes"] * passed
        else:
            contact["requests"] += weight * (not resets)
            contact["rejected"] += weight * (not resets and not passed)
            contact["request_bytes"] += weight * row["bytes"] * passed
            contact["lasting"] |= row["packets"] > 2 * weight or bool(flags & 17)
    return contacts


def failed(contacts: Mapping[tuple[Any, ...], Contact]) -> set[tuple[Any, ...]]:
    """Keys of contacts, without panes, that were tried in vain."""
    vain = set()
    for key, contact in contacts.items():
        source, target, port, protocol = key
        answered = contact["answers"]
        if protocol in {1, 58} and (returned := contacts.get((target, source, port, protocol))):
            answered += returned["requests"] - returned["rejected"]
        if not answered and contact["requests"] and (contact["rejected"] or not contact["lasting"]):
            vain.add(key)
    return vain


def window(contacts: Mapping[tuple[Any, ...], Contact]) -> dict[tuple[Any, ...], Contact]:
    """Contacts summed over all panes."""
    summed: dict[tuple[Any, ...], Contact] = {}
    for (_, *key), contact in contacts.items():
        before = summed.get(tuple(key))
        if before is None:
            summed[tuple(key)] = dict(contact)
            continue
        for name in ("requests", "rejected", "answers", "request_bytes", "answer_bytes"):
            before[name] += contact[name]
        before["lasting"] |= contact["lasting"]
        before["first_seen"] = min(before["first_seen"], contact["first_seen"])
        before["last_seen"] = max(before["last_seen"], contact["last_seen"])
    return summed
