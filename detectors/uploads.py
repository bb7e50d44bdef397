"""Uploads of own hosts, held against their past, their peers, and what the same destination got before."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from detectors.contract import SCORES, Need, Parameters, View
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.frames import among, frame
from detectors.statistics.grouping import Groups
from detectors.statistics.peers import ENOUGH_WINDOWS
from detectors.statistics.rollup import LEAST_BYTES
from detectors.statistics.tables import EXAMPLES

FAST: Final = (1, 5)
HOUR: Final = 60
DAY: Final = 1440
SLOW: Final[Mapping[int, str]] = {HOUR: "floor_hour_bytes", DAY: "floor_day_bytes"}
"""Floors of the slow windows, by their panes."""

DETAILS: Final = Need("egress", 7)
"""Where ports are looked up: as far back as panes are kept, which holds the last block of the slow windows."""

CONTACTS: Final = Need("contact", 5)
"""Where it is looked up who asks whom, for gateways."""

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

_OWN_PAST, _PEERS, _FIXED_LIMIT = "own past", "peers", "fixed limit"
"""What a host was held against."""

_DAY_PARTS: Final = 10
"""How many times as much as in an hour a part of a day's leak is."""


def fast(view: View, parameters: Parameters, panes: int) -> pl.DataFrame | None:
    """Return the uploads of hosts that send more than usual within minutes."""
    hosts = view.table(Need("host", panes), "outbound_bytes", parameters.least("floor_bytes"))
    hosts = hosts[np.flatnonzero(hosts["internal"].to_numpy())]
    if hosts.is_empty():
        return None
    keys = hosts["key"]
    own, among = view.baseline("outbound_bytes", keys, panes), view.peers("outbound_bytes", keys, panes)
    floor, deviations, cold = (
        parameters.column(name, keys).to_numpy() for name in ("floor_bytes", "deviations", "cold_bytes")
    )
    median, spread, windows = (own[name].to_numpy() for name in ("median", "spread", "windows"))
    warm = np.minimum(windows, among["own_windows"].to_numpy()) >= ENOUGH_WINDOWS
    peers = among["peers"].fill_null(np.nan).to_numpy()
    usual = median + deviations * np.maximum(spread, 0.1 * median)
    young = np.where(np.isnan(peers), cold, np.fmin(_PEERS_FACTOR * peers, cold))
    limit = np.maximum(floor, np.where(warm, usual, young))
    total = hosts["outbound_bytes"].to_numpy()
    loud = np.flatnonzero(total >= limit)
    if not len(loud):
        return None
    by = np.where(warm, _OWN_PAST, np.where(np.isnan(peers), _FIXED_LIMIT, _PEERS))
    told_of = frame(
        {
            "source_key": keys.to_numpy()[loud],
            "windows": windows[loud],
            "floor": floor[loud],
            "limit": limit[loud],
            "baseline": np.where(warm, median, peers)[loud],
            "total": total[loud],
        }
    ).with_columns(pl.Series("by", by[loud].tolist(), pl.String), pl.col("baseline").fill_nan(None))
    return _uploads(view, parameters, panes, 1).join(told_of, on="source_key")


def slow(view: View, parameters: Parameters, panes: int) -> pl.DataFrame | None:
    """Return the uploads over an hour or a day that go on, and of which no minutes tell."""
    pairs = _uploads(view, parameters, panes, _DAY_PARTS if panes == DAY else 1)
    hosts = pairs["source_key"]
    floor, small = (parameters.column(name, hosts).to_numpy() for name in (SLOW[panes], "floor_bytes"))
    most = small if panes == HOUR else np.maximum(_BUSIEST * pairs["outbound_bytes"].to_numpy(), floor / 2)
    steady = np.flatnonzero(pairs["busiest_bytes"].to_numpy() < most)
    if not len(steady):
        return None
    pairs, floor = pairs[steady], floor[steady]
    groups = Groups(pairs["source_key"].to_numpy())
    total = groups.spread(groups.sum(pairs["outbound_bytes"].to_numpy()))
    if not (total >= floor).any():
        return None
    usual = view.baseline("outbound_bytes", pl.Series("source_key", groups.keys), 5)
    median, spread, windows = (groups.spread(usual[name].to_numpy()) for name in ("median", "spread", "windows"))
    # The last hour says nothing: a leak that takes a day is all that it holds.
    known = windows > HOUR
    limit = np.maximum(floor, np.where(known, (median + spread) * (panes / 5), 0))
    held = pairs.with_columns(
        pl.Series("floor", floor),
        pl.Series("limit", limit),
        pl.Series("windows", windows),
        pl.Series("by", np.where(known, _OWN_PAST, _FIXED_LIMIT).tolist(), pl.String),
        pl.Series("baseline", np.where(known, median * (panes / 5), np.nan)).fill_nan(None),
        slow=pl.lit(value=True),
    )[np.flatnonzero(total >= limit)]
    return held if panes == HOUR or held.is_empty() else _going_on(view, held)


def _going_on(view: View, pairs: pl.DataFrame) -> pl.DataFrame:
    """Keep the uploads of a day of hosts that still sent any of these peers something in the last hour."""
    recent = view.table(Need("outflow", HOUR), "outbound_bytes", LEAST_BYTES)
    return (
        pairs.join(
            recent.select("source_key", "target_key", recently="last_seen"), on=("source_key", "target_key"), how="left"
        )
        .filter(pl.col("recently").is_not_null().any().over("source_key"))
        .with_columns(last_seen=pl.coalesce("recently", "last_seen"))
        .drop("recently")
    )


def _uploads(view: View, parameters: Parameters, panes: int, parts: int) -> pl.DataFrame:
    """Return the pairs of a host and a peer that it sent much more than it got back."""
    pairs = view.table(Need("outflow", panes), "outbound_bytes", parts * parameters.least("part_bytes"))
    hosts = pairs["source_key"]
    sent, got = pairs["outbound_bytes"].to_numpy(), pairs["inbound_bytes"].to_numpy()
    part, asymmetry = (parameters.column(name, hosts).to_numpy() for name in ("part_bytes", "asymmetry"))
    chosen = np.flatnonzero((sent >= asymmetry * got) & (sent >= parts * part))
    return pairs[chosen].with_columns(window_panes=pl.lit(panes, pl.Int64))


def told(view: View, parameters: Parameters, pairs: pl.DataFrame) -> pl.DataFrame:
    """Hold uploads against what the host sent these peers before, alone and together."""
    hosts = pairs["source_key"]
    before = view.destinations(hosts, pairs["target_key"])
    hours, age, learned = (before[name].to_numpy() for name in ("hours", "age", "learned"))
    factor = parameters.column("known_factor", hosts).to_numpy()
    sent, limit, floor = (pairs[name].to_numpy() for name in ("outbound_bytes", "limit", "floor"))
    familiar = (age >= _OLD_HOURS) | ((hours > 0) & (age == learned - 1))
    most = factor * before["most"].to_numpy()
    asked = np.ones(len(pairs), np.bool_)
    if "slow" in pairs.columns:
        # While no hour is learned, nobody knows what has always been so.
        asked = learned > 0
        # What was learned within the day may be the leak itself. The most is that of an hour.
        most = np.where(familiar, most * (pairs["window_panes"].to_numpy() / HOUR), 0)
    else:
        familiar |= hours >= _OFTEN_HOURS
    fresh = asked & ~familiar & (sent >= most)
    bar = np.maximum(np.maximum(limit, most), np.where(familiar, factor * floor, 0))
    groups = Groups(hosts.to_numpy())
    together = groups.spread(groups.sum(np.where(fresh, sent, 0)))
    rows = np.flatnonzero(asked & ((sent >= bar) | (together >= limit)))
    if not len(rows):
        return NOTHING
    known = pl.concat([pairs, before], how="horizontal").with_columns(
        parameters.column("served_factor", hosts),
        pl.Series("familiar", familiar),
        pl.Series("fresh", fresh),
        pl.Series("bar", bar),
    )[rows]
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
    return pl.concat([each.select(COLUMNS.names()) for each in map(_judged, (alone, _joined(several)))])


def _over() -> pl.Expr:
    return pl.col("outbound_bytes") >= pl.col("bar")


def _together() -> pl.Expr:
    return pl.col("outbound_bytes").filter("fresh").sum().over("source_key")


def _detailed(view: View, pairs: pl.DataFrame) -> pl.DataFrame:
    """Add ports, protocols and closer times, and raise the bar of what peers came to fetch."""
    slow = "slow" in pairs.columns
    least = LEAST_BYTES if slow else _least(pairs)
    details = view.table(DETAILS, "outbound_bytes", least).select(
        "source_key", "target_key", "example_ports", "protocols", "served", first="first_seen", last="last_seen"
    )
    # Contacts tell the times of a burst; of a leak that takes hours, those that ports are looked up in are the last.
    begin, end = (
        ("first_seen", "last_seen") if slow else (pl.coalesce("first", "first_seen"), pl.coalesce("last", "last_seen"))
    )
    return (
        pairs.join(details, on=("source_key", "target_key"), how="left")
        .join(details.group_by("source_key").agg(serving=pl.col("served").all()), on="source_key", how="left")
        .with_columns(
            pl.col("example_ports", "protocols").fill_null([]),
            # Of a peer that is silent now, nothing tells who opened; a host that serves all others served it too.
            served=pl.coalesce("served", "serving", pl.lit(value=False)),
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
    contacts = view.table(CONTACTS)
    met = Groups(np.concatenate([shared[name].to_numpy() for name in ("source_key", "target_key")])).keys
    asked = (
        among(contacts, contacts["target_key"].to_numpy(), met)
        .filter("source_internal")
        .select("source_key", "target_key", "port", "protocol")
    )
    gateways = shared.filter(view.forwarders(shared["source_key"]))
    # Whoever asks a gateway asks it at the port of the peer that it forwards to.
    legs = asked.filter(pl.col("target_key").is_in(shared["source_key"].implode()))
    through = (
        shared.join(asked, on=("source_key", "target_key"))
        .join(legs.rename({"target_key": "gateway"}), on=("source_key", "port", "protocol"))
        .select("gateway", "source_key", "target_key", "outbound_bytes")
    )
    # Records that tell the ends inside the packets tell of no such legs.
    gateways = gateways.select("target_key", gateway="source_key")
    behind = shared.join(gateways, on="target_key").filter(pl.col("source_key") != pl.col("gateway"))
    forwarded = (
        pl.concat([through, behind.select(through.columns)])
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
    cold = (pl.col("by") == _FIXED_LIMIT) & pl.col("window_panes").is_in(FAST)
    plain = pl.col("familiar") | (pl.col("others") >= _COMMON_HOSTS)
    return rows.with_columns(
        pl.col("threshold").cast(pl.Float64),
        severity=pl.when(cold).then(pl.lit("low")).when(plain).then(pl.lit("medium")),
        source_internal=pl.lit(value=True),
        target_internal=pl.lit(value=False),
    )


COLUMNS: Final = pl.Schema(
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

NOTHING: Final = COLUMNS.to_frame()
"""What is told where there is nothing to tell."""
