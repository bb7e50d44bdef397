"""Example records: a handful written by hand, and traffic that holds an episode for every detector."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import polars as pl

from detectors.addresses import PRIVATE_NETWORKS, NetworkSet, host_key, parse, scope_salt
from detectors.statistics.contacts import PANE_SECONDS
from detectors.table import SCHEMA, Table

START: Final = 1_700_000_040
"""Begin of the first pane of the example traffic, epoch seconds."""

LAST_PANE: Final = START + 15 * PANE_SECONDS
"""Begin of its last pane, in which nearly everything happens: late enough for hosts to have a past."""

_ROW: Final[Mapping[str, Any]] = {
    "source": "10.0.0.1",
    "destination": "203.0.113.10",
    "source_port": 40_000,
    "destination_port": 443,
    "protocol": 6,
    "packets": 1,
    "bytes": 60,
    "action": "ACCEPT",
    "log_status": "OK",
    "tcp_flags": 2,
    "direction": None,
    "account_id": "123456789012",
    "vpc_id": "vpc-1",
    "interface_id": "eni-1",
    "weight": 1,
}


def records(rows: Sequence[Mapping[str, Any]], *, scope: str = "vpc-1") -> Table:
    """Make a record table from rows of which only what matters is said.

    Parameters
    ----------
    rows
        Columns of the record table by name, and `source` and `destination` as written addresses, or None in
        rows about coverage. `start` is `end` unless given, and both are `START` unless given.
    scope
        Name space of private addresses, which are the internal ones; all others are public.

    Examples
    --------
    >>> records([{"source": "198.51.100.7", "destination": "10.0.0.9"}]).frame["destination_internal"].to_list()
    [True]
    """
    complete = [{"end": START, **_ROW, **row} for row in rows]
    written = {"source": pl.String(), "destination": pl.String()}
    schema = written | {name: dtype for name, dtype in SCHEMA.items() if name in {"start", "end", *_ROW}}
    frame = pl.DataFrame([{"start": row["end"], **row} for row in complete], schema=schema)
    internal = NetworkSet(PRIVATE_NETWORKS)
    columns: list[pl.Series] = []
    for end in ("source", "destination"):
        high, low = parse(frame[end])
        halves = high.fill_null(0).to_numpy(), low.fill_null(0).to_numpy()
        inside = pl.Series(internal.contains(*halves))
        salts = (inside.cast(pl.UInt64) * scope_salt(scope)).to_numpy()
        known = low.is_not_null()
        columns += [
            high.alias(f"{end}_high"),
            low.alias(f"{end}_low"),
            inside.alias(f"{end}_internal"),
            pl.select(pl.when(inside).then(pl.lit(scope)).otherwise(pl.lit(""))).to_series().alias(f"{end}_scope"),
            pl.select(pl.when(known).then(pl.Series(host_key(salts, *halves)))).to_series().alias(f"{end}_key"),
        ]
    return Table(frame.with_columns(columns).select(SCHEMA.names()))


@cache
def traffic(*, ipv6: bool = False, quiet_hosts: int = 0) -> Table:
    """Make example traffic: sixteen minutes of ordinary use, and one episode for each detector, most in the last one.

    Parameters
    ----------
    ipv6
        Whether the addresses are the IPv6 ones that embed the IPv4 ones.
    quiet_hosts
        How many hosts take part besides, doing nothing unusual.
    """
    rows = [*_ordinary(), *_quiet(quiet_hosts), *_scans(), *_upload(), *_refusals(), *_guesses()]
    rows.append({"source": None, "destination": None, "log_status": "NODATA", "end": LAST_PANE})
    return records([_over_ipv6(row) if ipv6 else row for row in rows])


def _ordinary() -> list[Mapping[str, Any]]:
    """Own hosts that fetch from outside and answer pings, in every pane."""
    own = [f"10.0.0.{number}" for number in range(1, 31)]
    rows: list[Mapping[str, Any]] = []
    for pane in range(START, LAST_PANE + PANE_SECONDS, PANE_SECONDS):
        for host in own:
            rows += _exchange(host, "203.0.113.10", pane + 10, sent=2_000, received=90_000)
        ping = {"protocol": 1, "source_port": 0, "destination_port": 0, "tcp_flags": None, "end": pane + 20}
        rows += [{"source": "10.0.0.1", "destination": host, **ping} for host in own[1:]]
        rows += [{"source": host, "destination": "10.0.0.1", **ping} for host in own[1:]]
    return rows


def _quiet(hosts: int) -> list[Mapping[str, Any]]:
    names = [f"10.1.{number // 250}.{number % 250}" for number in range(hosts)]
    return [row for name in names for row in _exchange(name, "203.0.113.20", LAST_PANE, sent=2_000, received=90_000)]


def _scans() -> list[Mapping[str, Any]]:
    vertical: Mapping[str, Any] = {"source": "198.51.100.7", "destination": "10.0.0.9", "action": "REJECT"}
    horizontal: Mapping[str, Any] = {"source": "10.0.0.6", "destination_port": 445}
    block: Mapping[str, Any] = {"source": "198.51.100.8", "action": "REJECT"}
    slow: Mapping[str, Any] = {"source": "10.0.0.7", "destination": "10.0.0.20", "action": "REJECT"}
    return [
        *({**vertical, "destination_port": port, "end": LAST_PANE + port % 50} for port in range(1, 501)),
        *({**horizontal, "destination": f"10.2.{n // 250}.{n % 250}", "end": LAST_PANE + n % 50} for n in range(300)),
        *(
            {**block, "destination": f"10.3.0.{host}", "destination_port": port, "end": LAST_PANE + port}
            for host in range(1, 6)
            for port in range(20, 40)
        ),
        *(
            {"source": f"198.51.100.{100 + number}", "destination": "10.0.0.8", "destination_port": 3000 + port}
            | {"action": "REJECT", "end": LAST_PANE + port}
            for number in range(20)
            for port in range(number * 2, number * 2 + 6)
        ),
        *({**slow, "destination_port": 7000 + n, "end": START + n * PANE_SECONDS + 30} for n in range(16)),
    ]


def _upload() -> list[Mapping[str, Any]]:
    return _exchange("10.0.0.12", "203.0.113.99", LAST_PANE + 40, sent=400_000_000, received=900_000)


def _refusals() -> list[Mapping[str, Any]]:
    refused = {"destination": "10.0.0.5", "destination_port": 8080, "action": "REJECT", "end": LAST_PANE + 30}
    return [{"source": f"198.51.100.{20 + number % 200}", **refused} for number in range(300)]


def _guesses() -> list[Mapping[str, Any]]:
    """Let one source guess at one host, an own host at many, and many sources at one host."""
    logins = [("198.51.100.8", "10.0.0.21", 22, number) for number in range(60)]
    logins += [("10.0.0.7", f"10.0.0.{22 + number % 6}", 3389, number) for number in range(40)]
    logins += [(f"198.51.100.{230 + number % 12}", "10.0.0.29", 21, number) for number in range(48)]
    return [row for each in logins for row in _attempt(*each)]


def _attempt(client: str, server: str, port: int, number: int) -> list[Mapping[str, Any]]:
    ends = {"packets": 14, "end": LAST_PANE + number % 50}
    there = {"source": client, "destination": server, "source_port": 41_000 + number, "destination_port": port}
    back = {"source": server, "destination": client, "source_port": port, "destination_port": 41_000 + number}
    sent = {"bytes": 1_900 + number % 7 * 16, "tcp_flags": 3}
    return [{**there, **sent, **ends}, {**back, "bytes": 2_600, "tcp_flags": 19, **ends}]


def _exchange(client: str, server: str, end: int, *, sent: int, received: int) -> list[Mapping[str, Any]]:
    request = {"source": client, "destination": server, "packets": 20, "bytes": sent, "tcp_flags": 3, "end": end}
    answer = {"source": server, "destination": client, "packets": 20, "bytes": received, "tcp_flags": 19, "end": end}
    return [request, {**answer, "source_port": 443, "destination_port": 40_000}]


def _over_ipv6(row: Mapping[str, Any]) -> Mapping[str, Any]:
    moved = {end: _embedded(row.get(end, _ROW[end])) for end in ("source", "destination")}
    return {**row, **moved, "protocol": 58} if row.get("protocol") == 1 else {**row, **moved}


def _embedded(address: str | None) -> str | None:
    if address is None:
        return None
    return f"fd00::{address}" if address.startswith("10.") else f"2001:db8::{address}"
