"""Volumes: who sent how much to whom, spread over the time in which it was sent, and who says so."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.grouping import Groups, Int64Array, UInt64Array, combined
from detectors.table import ACTIONS, DIRECTIONS

SPREAD_SECONDS: Final = 600
"""A record's bytes are spread back over so much time at most: AWS's longest aggregation interval."""

MOST: Final = 1 << 45
"""What a record counts at most, bytes and packets: 469 Gbit/s for ten minutes. More is no measurement, and two of
the largest numbers a record can hold would overflow their sum."""

SENDER, RECEIVER, UNKNOWN = range(3)
"""Which end's interface reported: the values of the column `reporter`."""

VOLUMES: Final = pl.Schema(
    {
        "pane": pl.Int64(),
        "volume": pl.UInt64(),
        "sender_key": pl.UInt64(),
        "receiver_key": pl.UInt64(),
        "sender_internal": pl.Boolean(),
        "receiver_internal": pl.Boolean(),
        "reporter": pl.UInt8(),
        "interface": pl.UInt64(),
        "bytes": pl.Int64(),
        "packets": pl.Int64(),
    }
)
"""One row per pane, sender, receiver and reporting end; `volume` is the hash of these three.

Where nothing says which end reported, `interface` is the hash of the interface that did, to learn it from.
It is 0 elsewhere.
"""

_ACCEPTED: Final = ACTIONS.categories.to_list().index("ACCEPT")
_REPORTERS: Final = {"egress": SENDER, "ingress": RECEIVER}
_REPORTER_OF_DIRECTION: Final = np.array([*(_REPORTERS[name] for name in DIRECTIONS.categories), UNKNOWN], np.uint8)


def fold(flows: pl.DataFrame) -> pl.DataFrame:
    """Fold accepted records into volumes; refused ones carried nothing.

    Parameters
    ----------
    flows
        Rows of a record table that tell of flows.

    Returns
    -------
    pl.DataFrame
        Columns of `VOLUMES`, in no particular order.
    """
    passed = np.flatnonzero(flows["action"].to_physical().to_numpy() == _ACCEPTED)
    own = {name: flows[name].to_numpy()[passed] for name in ("start", "end", "bytes", "packets", "weight")}
    spread = _Spread(own["start"], own["end"])
    rows = passed[spread.rows]
    weight = own["weight"].astype(np.int64)
    reporter = reporters(flows)
    columns = {
        "pane": spread.panes,
        "sender_key": flows["source_key"].to_numpy()[rows],
        "receiver_key": flows["destination_key"].to_numpy()[rows],
        "sender_internal": flows["source_internal"].to_numpy()[rows],
        "receiver_internal": flows["destination_internal"].to_numpy()[rows],
        "reporter": reporter[rows],
        "interface": _interfaces(flows, reporter)[rows],
        "bytes": spread.shares(np.minimum(own["bytes"], MOST // weight) * weight),
        "packets": spread.shares(np.minimum(own["packets"], MOST // weight) * weight),
    }
    columns["volume"] = combined(
        columns["sender_key"], columns["receiver_key"], columns["interface"] + columns["reporter"]
    )
    return _grouped(columns)


def reporters(flows: pl.DataFrame) -> npt.NDArray[np.uint8]:
    """Say which end's interface reported each record: from its direction, else from the internal networks.

    Returns
    -------
    ndarray
        `SENDER`, `RECEIVER` or `UNKNOWN`, shape (n,).
    """
    stated: npt.NDArray[np.uint8] = _REPORTER_OF_DIRECTION[
        flows["direction"].to_physical().fill_null(len(DIRECTIONS.categories)).to_numpy()
    ]
    if not (silent := stated == UNKNOWN).any():
        return stated
    sender, receiver = flows["source_internal"].to_numpy(), flows["destination_internal"].to_numpy()
    stated[silent & sender & ~receiver] = SENDER
    stated[silent & receiver & ~sender] = RECEIVER
    return stated


def _interfaces(flows: pl.DataFrame, reporter: npt.NDArray[np.uint8]) -> UInt64Array:
    """Hash the names of interfaces where it matters; hashes of one process need not be those of another."""
    interfaces = np.zeros(len(flows), np.uint64)
    unknown = reporter == UNKNOWN
    if unknown.any():
        interfaces[unknown] = flows["interface_id"].filter(pl.Series(unknown)).hash().to_numpy()
    return interfaces


def merged(volumes: pl.DataFrame) -> pl.DataFrame:
    """Sum volumes that came in parts; panes stay apart.

    Returns
    -------
    pl.DataFrame
        Columns of `VOLUMES`; of one pane, in ascending order of `volume`.
    """
    return _grouped({name: volumes[name].to_numpy() for name in VOLUMES})


def owners(volumes: pl.DataFrame) -> tuple[UInt64Array, UInt64Array]:
    """Learn whose interfaces are whose: the address that most of what an interface reported has at one end.

    Parameters
    ----------
    volumes
        Columns of `VOLUMES`, of as many panes as there are. An interface that saw one peer only tells nothing yet;
        of its two addresses the lower key is taken.

    Returns
    -------
    tuple
        Interfaces, ascending and each once, and the keys of their hosts, each UInt64 of shape (interfaces,).
    """
    unknown = volumes.filter(pl.col("reporter") == UNKNOWN)
    ends = [unknown[name].to_numpy() for name in ("sender_key", "receiver_key")]
    interfaces, keys = np.tile(unknown["interface"].to_numpy(), 2), np.concatenate(ends)
    groups = Groups(combined(interfaces, keys))
    interfaces, keys = interfaces[groups.some], keys[groups.some]
    order = np.lexsort((keys, -groups.sizes, interfaces))
    first = np.unique(interfaces[order], return_index=True)[1]
    return interfaces[order][first], keys[order][first]


class _Spread:
    """Records cut at the begins of panes.

    Parameters
    ----------
    starts, ends
        When records begin and end, epoch seconds, shape (n,).
    """

    def __init__(self, starts: Int64Array, ends: Int64Array) -> None:
        begins = np.maximum(starts, ends - SPREAD_SECONDS)
        first, last = begins // PANE_SECONDS, ends // PANE_SECONDS
        pieces = last - first + 1
        self._single = bool((pieces == 1).all())
        if self._single:
            self.rows = np.arange(len(ends))
            self.panes = last * PANE_SECONDS
            return
        self.rows = np.repeat(np.arange(len(ends)), pieces)
        ordinal = np.arange(len(self.rows)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        self.panes = (first[self.rows] + ordinal) * PANE_SECONDS
        begin, end = begins[self.rows], ends[self.rows]
        self._duration = np.maximum(end - begin, 1)
        self._from = np.maximum(self.panes, begin) - begin
        # What has no duration lies in one piece, which gets all of it.
        until = np.minimum(self.panes + PANE_SECONDS, end) - begin
        self._until = np.where(end == begin, 1, until)

    def shares(self, amounts: Int64Array) -> Int64Array:
        """Divide amounts, shape (n,), among the pieces: evenly over time, in whole numbers, and nothing is lost."""
        if self._single:
            return amounts
        # Divided before it is multiplied, so that no amount is too large.
        each, rest = np.divmod(amounts[self.rows], self._duration)
        length = self._until - self._from
        shares: Int64Array = each * length + (
            rest * self._until // self._duration - rest * self._from // self._duration
        )
        return shares


def _grouped(columns: Mapping[str, npt.NDArray[Any]]) -> pl.DataFrame:
    panes = columns["pane"]
    several = len(panes) > 0 and bool((panes != panes[0]).any())
    groups = Groups(combined(columns["volume"], panes) if several else columns["volume"])
    grouped = {
        name: groups.sum(columns[name]) if name in {"bytes", "packets"} else columns[name][groups.some]
        for name in VOLUMES
    }
    return pl.DataFrame(grouped, schema=VOLUMES)
