"""Lines of a network in which every host is active, as often as any other: what a number of hosts costs."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from streams.generate.traffic import START

SECONDS: Final = 300
"""Event time of all lines: no pane closes before the end, so that all hosts are active at once."""

_LINES: Final = 1_000
_PIECE: Final = 100_000
_SERVERS: Final = 50
"""One host in so many is a server, which all others talk to."""

_OUTSIDE: Final = 4
"""One line in so many is of a host and an outside address."""


def crowd(records: int, hosts: int, seed: int = 1) -> Iterator[bytes]:
    r"""Write lines in AWS's default format, a thousand at a time, ordered by end.

    Parameters
    ----------
    records
        How many lines, rounded up to whole pieces of 100,000.
    hosts
        How many hosts send, one after the other, round and round.
    seed
        Other seeds give other lines.

    Examples
    --------
    >>> lines = b"\n".join(crowd(100_000, 1_000)).splitlines()
    >>> len(lines), len({line.split()[3] for line in lines})
    (100000, 1000)
    """
    source = np.random.default_rng(seed)
    order = source.permutation(hosts)
    for begin in range(0, records, _PIECE):
        number = np.arange(begin, begin + _PIECE)
        sender = order[number % hosts]
        outside = source.random(_PIECE) < 1 / _OUTSIDE
        server = source.integers(0, max(hosts // _SERVERS, 1), _PIECE) * _SERVERS % hosts
        stranger = source.integers(0, max(hosts // _OUTSIDE, 1), _PIECE)
        packets = source.integers(1, 100, _PIECE)
        end = START + number * SECONDS // max(records, _PIECE)
        frame = pl.DataFrame(
            {
                "interface": sender,
                "sender": sender + (10 << 24),
                # 24.0.0.0 and on, one address in three: far apart, none of them private.
                "receiver": np.where(outside, (24 << 24) + stranger * 3, server + (10 << 24)),
                "port": source.integers(32_768, 61_000, _PIECE),
                "service": source.choice(np.array([22, 53, 80, 443, 5432]), _PIECE),
                "packets": packets,
                "bytes": packets * source.integers(40, 1_400, _PIECE),
                "start": end - source.integers(0, 30, _PIECE),
                "end": end,
            }
        )
        written = frame.select(
            pl.format(
                "2 123456789012 eni-{} {} {} {} {} 6 {} {} {} {} ACCEPT OK",
                "interface",
                _dotted("sender"),
                _dotted("receiver"),
                "port",
                "service",
                "packets",
                "bytes",
                "start",
                "end",
            )
        ).to_series()
        for first in range(0, _PIECE, _LINES):
            yield "\n".join(written.slice(first, _LINES)).encode()


def _dotted(column: str) -> pl.Expr:
    parts = (pl.col(column) // 256**power % 256 for power in (3, 2, 1, 0))
    return pl.concat_str(*parts, separator=".")
