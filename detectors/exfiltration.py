"""Exfiltration: a host that sends much more to the outside than it ever did, in a burst or drop by drop."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import polars as pl

from detectors.contract import NO_SCORES, SCORES, Card, Description, Detector, Need, Parameter, Parameters, View
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.peers import ENOUGH_WINDOWS
from detectors.statistics.rollup import LEAST_BYTES
from detectors.statistics.tables import EXAMPLES

_FAST: Final = (1, 5)
_HOUR: Final = 60
_DAY: Final = 1440
_SLOW: Final[Mapping[int, str]] = {_HOUR: "floor_hour_bytes", _DAY: "floor_day_bytes"}
"""Floors of the slow windows, by their panes."""

_DETAILS: Final = Need("egress", 7)
"""Where ports are looked up: as far back as panes are kept, which holds the last block of the slow windows."""

_CONTACTS: Final = Need("contact", 5)

_PEERS_FACTOR: Final = 2
"""How far above what is usual among its peers a host without a past must lie."""

_OFTEN_HOURS: Final = 3
_OLD_HOURS: Final = 20
"""A peer is well known that got much in so many hours, or so many hours ago for the first time."""

_COMMON_HOSTS: Final = 3
"""A peer to which so many other hosts send much is nobody's secret."""

_WHOLE: Final = 0.8
"""Part of all that goes to one peer from which on the leak is one to that peer."""

_BUSIEST: Final = 0.6
"""Part of a day's bytes that may lie in one hour for the leak to be slow."""

_DAY_PARTS: Final = 10
"""How many times as much as in an hour a part of a day's leak is."""


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
        version=2,
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
                default=500_000_000,
                unit="bytes",
                meaning="What must be sent within a minute or five while neither the host nor its peers have six "
                "windows of past; also the most that is asked of a host without a past.",
                reason="Slips' limit for one peer within an hour; without a past, only what is large anywhere counts.",
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
    needs: ClassVar = (
        *(Need(table, panes) for panes in reversed(_FAST) for table in ("outflow", "host")),
        *(Need("outflow", panes) for panes in _SLOW),
        _DETAILS,
        _CONTACTS,
    )

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score hosts, then the peers of those that send more than usual, over all windows."""
        parts = [_fast(view, parameters, panes) for panes in _FAST]
        parts += [_slow(view, parameters, panes) for panes in _SLOW]
        told = [_told(view, parameters, pairs) for pairs in parts if pairs is not None and len(pairs)]
        rows = pl.concat([_COLUMNS.to_frame(), *told])
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


def _fast(view: View, parameters: Parameters, panes: int) -> pl.DataFrame | None:
    """Return the uploads of hosts that send more than usual within minutes."""
    hosts = view.table(Need("host", panes), "outbound_bytes", parameters.least("floor_bytes"))
    hosts = hosts.filter("internal")
    if hosts.is_empty():
        return None
    keys = hosts["key"]
    known = pl.concat(
        [hosts, view.baseline("outbound_bytes", keys, panes), view.peers("outbound_bytes", keys, panes)],
        how="horizontal",
    ).with_columns(parameters.column(name, keys) for name in ("floor_bytes", "deviations", "cold_bytes"))
    warm = pl.min_horizontal("windows", "own_windows") >= ENOUGH_WINDOWS
    peers = pl.col("peers").is_not_null()
    usual = pl.col("median") + pl.col("deviations") * pl.max_horizontal("spread", 0.1 * pl.col("median"))
    among = pl.min_horizontal(_PEERS_FACTOR * pl.col("peers"), "cold_bytes")
    loud = known.select(
        pl.col("key").alias("source_key"),
        "windows",
        pl.col("floor_bytes").alias("floor"),
        by=pl.when(warm).then(pl.lit("own past")).when(peers).then(pl.lit("peers")).otherwise(pl.lit("fixed limit")),
        limit=pl.when(warm)
        .then(pl.max_horizontal("floor_bytes", usual))
        .when(peers)
        .then(pl.max_horizontal("floor_bytes", among))
        .otherwise(pl.max_horizontal("floor_bytes", "cold_bytes")),
        baseline=pl.when(warm).then("median").when(peers).then("peers"),
        total="outbound_bytes",
    ).filter(pl.col("total") >= pl.col("limit"))
    return _uploads(view, parameters, panes, 1).join(loud, on="source_key") if len(loud) else None


def _slow(view: View, parameters: Parameters, panes: int) -> pl.DataFrame | None:
    """Return the uploads over an hour or a day that go on, and of which no minutes tell."""
    pairs = _uploads(view, parameters, panes, _DAY_PARTS if panes == _DAY else 1)
    if panes == _DAY and len(pairs):
        recent = view.table(Need("outflow", _HOUR), "outbound_bytes", LEAST_BYTES)
        pairs = pairs.join(
            recent.select("source_key", "target_key", recently="last_seen"), on=("source_key", "target_key"), how="left"
        ).filter(pl.col("recently").is_not_null().any().over("source_key"))
        pairs = pairs.with_columns(last_seen=pl.coalesce("recently", "last_seen")).drop("recently")
    if pairs.is_empty():
        return None
    floor = parameters.column(_SLOW[panes], pairs["source_key"]).alias("floor")
    pairs = pairs.with_columns(floor, parameters.column("floor_bytes", pairs["source_key"]))
    most = pl.max_horizontal(_BUSIEST * pl.col("outbound_bytes"), pl.col("floor") / 2)
    slow = pl.col("busiest_bytes") < (pl.col("floor_bytes") if panes == _HOUR else most)
    pairs = pairs.filter(slow).filter(pl.col("outbound_bytes").sum().over("source_key") >= pl.col("floor"))
    if pairs.is_empty():
        return None
    keys = pairs["source_key"].unique().sort()
    usual = view.baseline("outbound_bytes", keys, 5).with_columns(keys)
    # The last hour says nothing: a leak that takes a day is all that it holds.
    known = pl.col("windows") > _HOUR
    expected = (pl.col("median") + pl.col("spread")) * (panes / 5)
    return pairs.join(usual, on="source_key", how="left").with_columns(
        by=pl.when(known).then(pl.lit("own past")).otherwise(pl.lit("fixed limit")),
        limit=pl.when(known).then(pl.max_horizontal("floor", expected)).otherwise("floor"),
        baseline=pl.when(known).then(pl.col("median") * (panes / 5)),
        slow=pl.lit(value=True),
    )


def _uploads(view: View, parameters: Parameters, panes: int, parts: int) -> pl.DataFrame:
    """Return the pairs of a host and a peer that it sent much more than it got back."""
    pairs = view.table(Need("outflow", panes), "outbound_bytes", parts * parameters.least("part_bytes"))
    hosts = pairs["source_key"]
    one_sided = pl.col("outbound_bytes") >= pl.col("asymmetry") * pl.col("inbound_bytes")
    return (
        pairs.with_columns(parameters.column("part_bytes", hosts), parameters.column("asymmetry", hosts))
        .filter(one_sided, pl.col("outbound_bytes") >= parts * pl.col("part_bytes"))
        .with_columns(window_panes=pl.lit(panes, pl.Int64))
    )


def _told(view: View, parameters: Parameters, pairs: pl.DataFrame) -> pl.DataFrame:
    """Hold uploads against what the host sent these peers before, alone and together."""
    hosts = pairs["source_key"]
    known = pl.concat([pairs, view.destinations(hosts, pairs["target_key"])], how="horizontal").with_columns(
        parameters.column("known_factor", hosts), parameters.column("served_factor", hosts)
    )
    from_the_start = (pl.col("hours") > 0) & (pl.col("age") == pl.col("learned") - 1)
    familiar = (pl.col("age") >= _OLD_HOURS) | from_the_start
    most = pl.col("known_factor") * pl.col("most")
    if "slow" in pairs.columns:
        # While no hour is learned, nobody knows what has always been so.
        known = known.filter(pl.col("learned") > 0)
        # What was learned within the day may be the leak itself.
        most = pl.when(familiar).then(most).otherwise(0)
    else:
        familiar |= pl.col("hours") >= _OFTEN_HOURS
    known = known.with_columns(
        familiar=familiar,
        fresh=~familiar & (pl.col("outbound_bytes") >= most),
        bar=pl.max_horizontal(
            "limit", most, pl.when(familiar).then(pl.col("known_factor") * pl.col("floor")).otherwise(0)
        ),
    ).filter(_over() | (_together() >= pl.col("limit")))
    if known.is_empty():
        return _COLUMNS.to_frame()
    known = _without_forwarders(view, _detailed(view, known))
    alone = known.filter(_over())
    several = known.filter("fresh").filter(pl.len().over("source_key") > 1, _together() >= pl.col("limit"))
    unusual = _together() - pl.col("baseline").fill_null(0)
    mostly_one = pl.col("outbound_bytes").max().over("source_key") >= _WHOLE * unusual
    several = several.join(alone.select("source_key").unique(), on="source_key", how="anti").vstack(
        several.join(alone.select("source_key").unique(), on="source_key", how="semi").filter(~mostly_one)
    )
    alone = alone.join(several.select("source_key"), on="source_key", how="anti").with_columns(
        value=pl.col("outbound_bytes").cast(pl.Float64),
        threshold="bar",
        targets=pl.lit(1, pl.Int64),
        example_targets=pl.concat_list("target_key"),
    )
    return pl.concat([each.select(_COLUMNS.names()) for each in map(_judged, (alone, _joined(several)))])


def _over() -> pl.Expr:
    return pl.col("outbound_bytes") >= pl.col("bar")


def _together() -> pl.Expr:
    return pl.col("outbound_bytes").filter("fresh").sum().over("source_key")


def _detailed(view: View, pairs: pl.DataFrame) -> pl.DataFrame:
    """Add ports, protocols and closer times, and raise the bar of what peers came to fetch."""
    slow = "slow" in pairs.columns
    least = LEAST_BYTES if slow else _least(pairs)
    details = view.table(_DETAILS, "outbound_bytes", least).select(
        "source_key", "target_key", "example_ports", "protocols", "served", first="first_seen", last="last_seen"
    )
    # Contacts tell the times of a burst; of a leak that takes hours, those that ports are looked up in are the last.
    begin, end = (
        ("first_seen", "last_seen") if slow else (pl.coalesce("first", "first_seen"), pl.coalesce("last", "last_seen"))
    )
    return (
        pairs.join(details, on=("source_key", "target_key"), how="left")
        .with_columns(
            pl.col("example_ports", "protocols").fill_null([]),
            pl.col("served").fill_null(value=False),
            first_seen=begin,
            last_seen=pl.min_horizontal(end, pl.lit(view.pane + PANE_SECONDS)),
        )
        .with_columns(
            fresh=pl.col("fresh") & ~pl.col("served"),
            bar=pl.when("served")
            .then(pl.max_horizontal("bar", pl.col("served_factor") * pl.col("floor")))
            .otherwise("bar"),
        )
    )


def _least(pairs: pl.DataFrame) -> int:
    return int(pairs["outbound_bytes"].to_numpy().min())


def _without_forwarders(view: View, pairs: pl.DataFrame) -> pl.DataFrame:
    """Leave out gateways where the host is there too for which they forward: a leak through one is one leak."""
    panes = pairs["window_panes"][0]
    everybody = view.table(Need("outflow", panes), "outbound_bytes", _least(pairs) / 2)
    shared = everybody.filter(pl.len().over("target_key") > 1).join(
        pairs.select("target_key").unique(), on="target_key", how="semi"
    )
    if shared.is_empty():
        return pairs
    asked = view.table(_CONTACTS).filter("source_internal").select("source_key", "target_key", "port", "protocol")
    # Whoever asks a gateway asks it at the port of the peer that it forwards to.
    legs = asked.filter(pl.col("target_key").is_in(shared["source_key"].implode()))
    forwarded = (
        shared.join(asked, on=("source_key", "target_key"))
        .join(legs.rename({"target_key": "gateway"}), on=("source_key", "port", "protocol"))
        .unique(["gateway", "source_key", "target_key"])
        .group_by(source_key="gateway", target_key="target_key")
        .agg(original=pl.col("outbound_bytes").sum())
        .join(shared, on=("source_key", "target_key"))
        .filter(2 * pl.col("original") >= pl.col("outbound_bytes"))
    )
    return pairs.join(forwarded, on=("source_key", "target_key"), how="anti")


def _joined(pairs: pl.DataFrame) -> pl.DataFrame:
    """Bring the peers of each host together."""
    largest = pl.col("target_key").sort_by("outbound_bytes", "target_key", descending=[True, False])
    return pairs.group_by("source_key").agg(
        pl.col("window_panes", "by", "baseline", "windows").first(),
        pl.col("inbound_bytes").sum(),
        pl.col("busiest_bytes", "hours", "last_seen").max(),
        pl.col("others").min(),
        pl.col("first_seen").min(),
        pl.col("served", "familiar").all(),
        pl.col("example_ports").explode(empty_as_null=False).unique().bottom_k(EXAMPLES).sort(),
        pl.col("protocols").explode(empty_as_null=False).unique().sort(),
        target_key=pl.lit(None, pl.UInt64),
        value=pl.col("outbound_bytes").sum().cast(pl.Float64),
        threshold=pl.col("limit").first(),
        targets=pl.len().cast(pl.Int64),
        example_targets=largest.head(EXAMPLES),
    )


def _judged(rows: pl.DataFrame) -> pl.DataFrame:
    """Add how severe it is where that differs from the card: less where nothing is known, or nothing is hidden."""
    cold = (pl.col("by") == "fixed limit") & pl.col("window_panes").is_in(_FAST)
    plain = pl.col("familiar") | (pl.col("others") >= _COMMON_HOSTS)
    return rows.with_columns(
        pl.col("threshold").cast(pl.Float64),
        severity=pl.when(cold).then(pl.lit("low")).when(plain).then(pl.lit("medium")),
        source_internal=pl.lit(value=True),
        target_internal=pl.lit(value=False),
    )


_SPELLED: Final = {1: "a minute", 5: "five minutes", _HOUR: "an hour", _DAY: "a day"}
_BLOCKS: Final = {1: 60, 5: 60, _HOUR: 300, _DAY: 3600}
"""Seconds of the pieces that a window is made of."""

_COLUMNS: Final = pl.Schema(
    {
        **SCORES,
        "severity": pl.String(),
        "window_panes": pl.Int64(),
        "by": pl.String(),
        "inbound_bytes": pl.Int64(),
        "busiest_bytes": pl.Int64(),
        "hours": pl.Int64(),
        "others": pl.Int64(),
        "served": pl.Boolean(),
        "windows": pl.UInt32(),
        "targets": pl.Int64(),
        "example_targets": pl.List(pl.UInt64()),
        "example_ports": pl.List(pl.UInt16()),
        "protocols": pl.List(pl.UInt8()),
    }
)
