"""Volumes: who sent how much to whom, spread over the time in which it was sent, and who says so."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.frames import frame
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
_REPORTER_OF_ENDS: Final = np.array([UNKNOWN, SENDER, RECEIVER, UNKNOWN], np.uint8)
"""By whether the sender (1) and the receiver (2) are own hosts."""

BoolArray = npt.NDArray[np.bool_]


def fold(flows: pl.DataFrame, *, crossing: bool = False) -> pl.DataFrame:
    """Fold accepted records into volumes; refused ones carried nothing.

    Parameters
    ----------
    flows
        Rows of a record table that tell of flows.
    crossing
        Whether only what crosses the border between own and other hosts counts: most of what a network logs stays
        inside, and there are as many rows as hosts have peers.

    Returns
    -------
    pl.DataFrame
        Columns of `VOLUMES`, in no particular order.
    """
    counts = flows["action"].to_physical().to_numpy() == _ACCEPTED
    if crossing:
        counts &= flows["source_internal"].to_numpy() != flows["destination_internal"].to_numpy()
    passed = np.flatnonzero(counts)
    own = {name: flows[name].to_numpy()[passed] for name in ("start", "end", "bytes", "packets", "weight")}
    spread = _Spread(own["start"], own["end"])
    weight = own["weight"].astype(np.int64)
    ends = {
        f"{role}_{what}": flows[f"{end}_{what}"].to_numpy()[passed]
        for what in ("key", "internal")
        for role, end in (("sender", "source"), ("receiver", "destination"))
    }
    reporter = _reporters(flows["direction"].to_physical()[passed], ends["sender_internal"], ends["receiver_internal"])
    interface = _interfaces(flows["interface_id"], passed, reporter)
    columns = {
        **ends,
        "reporter": reporter,
        "interface": interface,
        "volume": combined(ends["sender_key"], ends["receiver_key"], interface + reporter),
    }
    return _grouped(
        {name: spread.repeated(column) for name, column in columns.items()}
        | {
            "pane": spread.panes,
            "bytes": spread.shares(np.minimum(own["bytes"], MOST // weight) * weight),
            "packets": spread.shares(np.minimum(own["packets"], MOST // weight) * weight),
        }
    )


def reporters(flows: pl.DataFrame) -> npt.NDArray[np.uint8]:
    """Say which end's interface reported each record: from its direction, else from the internal networks.

    Returns
    -------
    ndarray
        `SENDER`, `RECEIVER` or `UNKNOWN`, shape (n,).
    """
    internal = (flows[f"{end}_internal"].to_numpy() for end in ("source", "destination"))
    return _reporters(flows["direction"].to_physical(), *internal)


def _reporters(directions: pl.Series, sender: BoolArray, receiver: BoolArray) -> npt.NDArray[np.uint8]:
    """Do what `reporters` does, from the codes of directions and from which ends are own hosts."""
    if directions.null_count() == len(directions):
        # The commonest case: a format without directions.
        silently: npt.NDArray[np.uint8] = _REPORTER_OF_ENDS[sender.view(np.uint8) | receiver.view(np.uint8) << 1]
        return silently
    stated: npt.NDArray[np.uint8] = _REPORTER_OF_DIRECTION[directions.fill_null(len(DIRECTIONS.categories)).to_numpy()]
    silent = np.flatnonzero(stated == UNKNOWN)
    stated[silent] = _REPORTER_OF_ENDS[sender.view(np.uint8)[silent] | receiver.view(np.uint8)[silent] << 1]
    return stated


def _interfaces(names: pl.Series, rows: Int64Array, reporter: npt.NDArray[np.uint8]) -> UInt64Array:
    """Hash the names of interfaces where it matters; hashes of one process need not be those of another."""
    interfaces = np.zeros(len(rows), np.uint64)
    unknown = np.flatnonzero(reporter == UNKNOWN)
    if len(unknown):
        interfaces[unknown] = names[rows[unknown]].hash().to_numpy()
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
        # Most records lie in one pane, and are left as they are; the pieces of the others come behind them.
        self._whole = np.flatnonzero(first == last)
        cut = np.flatnonzero(first != last)
        pieces = (last - first + 1)[cut]
        self._cut = np.repeat(cut, pieces)
        ordinal = np.arange(len(self._cut)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        panes = (first[self._cut] + ordinal) * PANE_SECONDS
        self.panes = np.concatenate([last[self._whole] * PANE_SECONDS, panes])
        """Begin of the pane of each piece, epoch seconds, shape (pieces,)."""
        begin, end = begins[self._cut], ends[self._cut]
        self._duration = end - begin
        self._from = np.maximum(panes, begin) - begin
        self._until = np.minimum(panes + PANE_SECONDS, end) - begin

    def repeated(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Give each piece what its record, shape (n,), has, shape (pieces,)."""
        return np.concatenate([column[self._whole], column[self._cut]])

    def shares(self, amounts: Int64Array) -> Int64Array:
        """Divide amounts, shape (n,), among the pieces: evenly over time, in whole numbers, and nothing is lost."""
        # Divided before it is multiplied, so that no amount is too large.
        each, rest = np.divmod(amounts[self._cut], self._duration)
        length = self._until - self._from
        shares = each * length + (rest * self._until // self._duration - rest * self._from // self._duration)
        return np.concatenate([amounts[self._whole], shares])


def _grouped(columns: Mapping[str, npt.NDArray[Any]]) -> pl.DataFrame:
    panes = columns["pane"]
    several = len(panes) > 0 and bool((panes != panes[0]).any())
    groups = Groups(combined(columns["volume"], panes) if several else columns["volume"])
    return frame(
        {
            name: groups.sum(columns[name]) if name in {"bytes", "packets"} else columns[name][groups.some]
            for name in VOLUMES
        }
    )
