"""Exfiltration: a host that sends much more to the outside than it ever did, in a burst or drop by drop."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import polars as pl

from detectors.contract import NO_SCORES, Card, Description, Detector, Need, Parameter, Parameters, View
from detectors.uploads import CONTACTS, DAY, DETAILS, FAST, HOUR, NOTHING, SLOW, fast, slow, told


class ExfiltrationBurst(Detector):
    """Bytes from one's own host to outside peers, within minutes, an hour and a day, against the host's own past."""

    card: ClassVar = Card(
        kind="exfiltration_burst",
        title="Exfiltration burst",
        sees="One's own host sends much more to an outside address, or to several, than it usually sends to the whole "
        "outside, and the traffic is an upload: within a minute, five minutes, or slowly over an hour or a day.",
        entity="source",
        severity="high",
        severity_inside="high",
        version=3,
        parameters=(
            Parameter(
                name="floor_bytes",
                default=8_000_000,
                unit="bytes",
                meaning="Bytes within five minutes below which nothing is reported.",
                reason="A leak of 10 MB in five minutes seldom falls into five whole panes; fixed limits of others "
                "begin at 100 MB (Slips, Splunk) and miss smaller ones.",
                minimum=1,
                threshold=True,
            ),
            Parameter(
                name="floor_hour_bytes",
                default=50_000_000,
                unit="bytes",
                meaning="Bytes within an hour, to peers that are not well known, from which on a slow upload is "
                "reported that no five minutes show.",
                reason="Half of the limit of a day: what leaks within an hour has less to hide among.",
                minimum=1,
                threshold=True,
            ),
            Parameter(
                name="floor_day_bytes",
                default=100_000_000,
                unit="bytes",
                meaning="The same within a day.",
                reason="Fixed limits of others for a single transfer (Slips, Splunk); 70 kB a minute.",
                minimum=1,
                threshold=True,
            ),
            Parameter(
                name="part_bytes",
                default=400_000,
                unit="bytes",
                meaning="Bytes to one peer below which they count for no leak to several; ten times as much in a day.",
                reason="Ordinary requests and pages stay below; 10 MB to 20 peers is 500 kB each.",
                minimum=1,
            ),
            Parameter(
                name="deviations",
                default=4,
                unit="robust standard deviations",
                meaning="How far above its median the host's window must lie.",
                reason="Hosts that stay below 2 MB in 95 of 100 windows are then reported at the floor. A robust z "
                "above 3.5 is the usual limit; the floor and the peers of the host keep it quiet.",
                threshold=True,
            ),
            Parameter(
                name="asymmetry",
                default=4,
                unit="bytes out per byte in",
                meaning="How one-sided the traffic with the peer must be.",
                reason="A leak is an upload; a long video call is as large but sends both ways.",
            ),
            Parameter(
                name="known_factor",
                default=3,
                unit="multiple",
                meaning="A peer that the host sent much to before must get so many times the most that it got within "
                "an hour, and a well-known one so many times the floor.",
                reason="Backups grow and come early or late; they seldom triple.",
                minimum=1,
            ),
            Parameter(
                name="served_factor",
                default=5,
                unit="multiple of the floor",
                meaning="Raises the floor where the peer opened all connections, as a visitor of a web site does.",
                reason="40 MB in five minutes is no page; who fetches files from a server with a login shell is found.",
                minimum=1,
            ),
            Parameter(
                name="cold_bytes",
                default=100_000_000,
                unit="bytes",
                meaning="What must be sent within a minute or five while neither the host nor its peers have six "
                "windows of past; also the most that is asked of a host without a past.",
                reason="Fixed limits of others for one transfer (Slips, Splunk): what is large anywhere.",
                minimum=1,
            ),
        ),
        mitre=("T1041", "T1048", "T1567"),
        false_positives=(
            "The first backup to an outside store.",
            "A migration to the outside, or the publication of a large file.",
        ),
        response="Find out what the peer is and which process sends. If nobody knows, cut the connection, keep the "
        "host for forensics and look at what it had access to.",
    )
    patience: ClassVar = 3
    needs: ClassVar = (
        *(Need(table, panes) for panes in reversed(FAST) for table in ("outflow", "host")),
        *(Need("outflow", panes) for panes in SLOW),
        DETAILS,
        CONTACTS,
    )

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score hosts, then the peers of those that send more than usual, over all windows."""
        parts = [fast(view, parameters, panes) for panes in FAST]
        parts += [slow(view, parameters, panes) for panes in SLOW]
        found = [told(view, parameters, pairs) for pairs in parts if pairs is not None and len(pairs)]
        rows = pl.concat([NOTHING, *found])
        if rows.is_empty():
            return NO_SCORES
        # A leak to several peers is told once, not once more for each.
        spread = pl.col("target_key").is_null().any().over("source_key")
        excess = pl.col("value") / pl.col("threshold")
        return (
            rows.filter(pl.col("target_key").is_null() | ~spread)
            .sort(excess, "value", "window_panes", descending=[True, True, False])
            .unique(["source_key", "target_key"], keep="first", maintain_order=True)
        )

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Name both ends, the bytes, and what is usual."""
        usual = ""
        if hit["baseline"] is not None:
            whose = "to all peers" if hit["by"] == "own past" else "among its peers"
            usual = f", usually {hit['baseline'] / 1e6:.1f} MB {whose}"
        protocols, panes = hit["protocols"], hit["window_panes"]
        to = hit["target"] or f"{hit['targets']} outside addresses"
        return Description(
            summary=f"{hit['source']} sent {hit['value'] / 1e6:.0f} MB to {to} within {_SPELLED[panes]}{usual}",
            ports=tuple(hit["example_ports"]),
            protocol=protocols[0] if len(protocols) == 1 else None,
            evidence={
                "statistic": f"bytes sent within {_SPELLED[panes]}",
                "compared_with": hit["by"],
                "bytes_out": int(hit["value"]),
                "bytes_in": hit["inbound_bytes"],
                "targets": hit["targets"],
                "example_targets": sorted(view.addresses(hit["example_targets"])),
                "most_within": {"bytes": hit["busiest_bytes"], "seconds": _BLOCKS[panes]},
                "hours_known": hit["hours"],
                "other_hosts": hit["others"],
                "opened_by_peer": hit["served"],
                "baseline_windows": hit["windows"],
                "example_ports": hit["example_ports"],
                "protocols": protocols,
            },
        )


_SPELLED: Final = {1: "a minute", 5: "five minutes", HOUR: "an hour", DAY: "a day"}
_BLOCKS: Final = {1: 60, 5: 60, HOUR: 300, DAY: 3600}
"""Seconds of the pieces that a window is made of."""
