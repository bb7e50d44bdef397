"""Who hosts are: the address behind a key, and the interface that reported them."""

from typing import Final

import numpy as np
import polars as pl

from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.grouping import Groups, UInt64Array, combined
from detectors.statistics.volumes import RECEIVER, SENDER, reporters

HOSTS: Final = pl.Schema(
    {
        "pane": pl.Int64(),
        "key": pl.UInt64(),
        "scope": pl.String(),
        "high": pl.UInt64(),
        "low": pl.UInt64(),
        "internal": pl.Boolean(),
        "account_id": pl.String(),
        "vpc_id": pl.String(),
        "interface_id": pl.String(),
    }
)
"""One row per pane, host, and account, VPC and interface that named it.

`interface_id` is null where the interface is that of the other end, or it is not known whose it is.
"""

_ENDS: Final = {"source": SENDER, "destination": RECEIVER}
_OWN: Final = ("scope", "high", "low", "internal")
_REPORTER: Final = ("account_id", "vpc_id", "interface_id")


def hosts(flows: pl.DataFrame) -> pl.DataFrame:
    """List the hosts at both ends of records, columns of `HOSTS`."""
    rows = len(flows)
    panes = flows["end"].to_numpy() // PANE_SECONDS * PANE_SECONDS
    reporter = reporters(flows)
    named = combined(panes, *(_hashes(flows[name]) for name in ("account_id", "vpc_id")))
    interface = flows["interface_id"].hash().to_numpy()
    hashes = np.concatenate(
        [combined(flows[f"{end}_key"].to_numpy(), named + interface * (reporter == own)) for end, own in _ENDS.items()]
    )
    # There are few hosts in many records, which a hash table tells faster than sorting does.
    some = pl.Series(hashes).arg_unique().to_numpy().astype(np.int64)
    listed = []
    for (end, own), first in zip(_ENDS.items(), (0, rows), strict=True):
        chosen = some[(some >= first) & (some < first + rows)] - first
        owned = pl.Series(reporter[chosen] == own)
        listed.append(
            flows.select(*(pl.col(f"{end}_{name}").alias(name) for name in ("key", *_OWN)), *_REPORTER)[chosen]
            .with_columns(pl.Series("pane", panes[chosen]), pl.when(owned).then("interface_id"))
            .select(HOSTS.names())
        )
    return _apart(pl.concat(listed))


def _hashes(names: pl.Series) -> UInt64Array:
    """Hash names; one name in all rows, as accounts and VPCs often have, is hashed once."""
    if len(names) and (names.null_count() == len(names) or bool((names == names[0]).all(ignore_nulls=False))):
        return np.repeat(names[:1].hash().to_numpy(), len(names))
    return names.hash().to_numpy()


def _apart(listed: pl.DataFrame) -> pl.DataFrame:
    """Copy the texts: as they come they are views, and the last of them would keep the text of a whole batch."""
    return listed.with_columns(
        pl.concat_str(name, pl.lit("")) for name, dtype in listed.schema.items() if dtype == pl.String
    )


def merged(listed: pl.DataFrame) -> pl.DataFrame:
    """Leave out what is listed twice."""
    return listed[Groups(combined(listed["key"].to_numpy(), listed["pane"].to_numpy(), _hashed(listed))).some]


def summed(listed: pl.DataFrame) -> pl.DataFrame:
    """Bring each host into one row; of several accounts, VPCs and interfaces the smallest names stand for them."""
    return (
        listed.group_by("key")
        .agg(pl.col("pane").max(), pl.col(_OWN).first(), pl.col(_REPORTER).min())
        .select(HOSTS.names())
    )


def _hashed(listed: pl.DataFrame) -> UInt64Array:
    """Hash who reported each row; hashes of one process need not be those of another."""
    return combined(*(listed[name].hash().to_numpy() for name in _REPORTER))
