"""Conversations of which ports do not tell who opened them: remembered whole, so that answers are not attempts."""

from typing import Final

import numpy as np
import polars as pl

from detectors.statistics.contacts import PANE_SECONDS, contact_keys, counting, refused, undecided
from detectors.statistics.grouping import Groups, Int64Array, UInt64Array, combined, rows_of

REMEMBERED_SECONDS: Final = 300
"""How far behind a pane its conversations are remembered."""

CONVERSATIONS: Final = pl.Schema(
    {
        "pane": pl.Int64(),
        "conversation": pl.UInt64(),
        "contact": pl.UInt64(),
        "mirror": pl.UInt64(),
        "source_key": pl.UInt64(),
        "source_internal": pl.Boolean(),
        "passed": pl.Int64(),
    }
)
"""One row per pane and direction of a 5-tuple whose ports do not tell who opened it.

`contact` is what the sender would have opened and `mirror` what the receiver would have; `conversation` is the
hash of both. `passed` counts the records that were let through, but for mere resets.
"""

_NOTHING: Final = CONVERSATIONS.to_frame()


def fold(flows: pl.DataFrame) -> pl.DataFrame:
    """Fold records into conversations; those whose ports tell enough are left out.

    Parameters
    ----------
    flows
        Rows of a record table that tell of flows.

    Returns
    -------
    pl.DataFrame
        Columns of `CONVERSATIONS`, in no particular order.
    """
    unclear = np.flatnonzero(undecided(flows["source_port"].to_numpy(), flows["destination_port"].to_numpy()))
    if not len(unclear):
        return _NOTHING
    flows = flows[unclear]
    source, destination = flows["source_key"].to_numpy(), flows["destination_key"].to_numpy()
    ports = flows["source_port"].to_numpy(), flows["destination_port"].to_numpy()
    protocol = flows["protocol"].to_numpy()
    contact = contact_keys(source, destination, ports[1], protocol)
    mirror = contact_keys(destination, source, ports[0], protocol)
    flags = flows["tcp_flags"].fill_null(0).to_numpy()
    weight = flows["weight"].to_numpy().astype(np.int64)
    return merged(
        pl.DataFrame(
            {
                "pane": flows["end"].to_numpy() // PANE_SECONDS * PANE_SECONDS,
                "conversation": combined(contact, mirror),
                "contact": contact,
                "mirror": mirror,
                "source_key": source,
                "source_internal": flows["source_internal"],
                "passed": weight * (counting(flags) & ~refused(flows)),
            },
            schema=CONVERSATIONS,
        )
    )


def merged(parts: pl.DataFrame) -> pl.DataFrame:
    """Sum conversations that came in parts; panes stay apart.

    Returns
    -------
    pl.DataFrame
        Columns of `CONVERSATIONS`; of one pane, in ascending order of `conversation`.
    """
    panes, conversations = parts["pane"].to_numpy(), parts["conversation"].to_numpy()
    several = len(panes) > 0 and bool((panes != panes[0]).any())
    groups = Groups(combined(conversations, panes) if several else conversations)
    return parts[groups.some].with_columns(passed=pl.Series(groups.sum(parts["passed"].to_numpy())))


def answers(conversations: pl.DataFrame, remembered: pl.DataFrame) -> tuple[UInt64Array, Int64Array]:
    """Count what came back on each contact: what passed the other way in the same conversation.

    Parameters
    ----------
    conversations
        Those of a pane.
    remembered
        Those of that pane and the ones before it, in any order.

    Returns
    -------
    tuple
        Contacts, ascending and each once, UInt64, and the records that came back, Int64, each of shape (contacts,).
    """
    known = Groups(remembered["conversation"].to_numpy())
    passed = known.sum(remembered["passed"].to_numpy())
    contact, mirror = conversations["contact"].to_numpy(), conversations["mirror"].to_numpy()
    rows, found = rows_of(known.keys, combined(mirror, contact))
    groups = Groups(contact[found])
    return groups.keys, groups.sum(passed[rows[found]])
