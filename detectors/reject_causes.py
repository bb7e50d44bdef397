"""Who explains what was refused: each cause is told once, by what explains most of it most closely."""

from typing import Final

import numpy as np
import polars as pl

from detectors.statistics.grouping import Groups, rows_of
from detectors.statistics.refusal_sums import INTERFACE, KEY_OF, NETWORK, SOURCE, TARGET
from detectors.statistics.tables import EXAMPLES

OVER: Final = pl.Schema(
    {
        "level": pl.UInt8(),
        "key": pl.UInt64(),
        "median": pl.Float64(),
        "deviation": pl.Float64(),
        "baseline": pl.Float64(),
        "threshold": pl.Float64(),
    }
)
"""What is usual for an entity, and from what number of refused records on it is reported."""

_EXPLAINS: Final = 0.4
"""Part of what is unusual in the whole network that an entity holds which explains it: two alike are told apart."""

_BROADER: Final = {TARGET: 1.0, SOURCE: 1.25, INTERFACE: 1.75}
"""So many times what a host explains must a source or an interface explain to be told in its place.

What one source is refused is one story, even where most of it is refused at one host.
"""

_SAME: Final = 0.8
"""A source of which so much is refused at one host is that host's story."""

_MOST_CAUSES: Final = 8
"""Each leaves at most three fifths of what is unusual, so that few come before the rest is nothing unusual."""

_MAIN_PORT: Final = 0.1
"""Part of the records from which on a port is one of those that it is about."""

_REASONS: Final = 5
_CONTACTS: Final = 4

_ENTITY: Final = ["level", "key"]


def causes(rows: pl.DataFrame, limits: pl.DataFrame) -> pl.DataFrame:
    """Say who was refused more than usual, none of it twice.

    The host, the source or the interface that explains most of what is unusual in the network comes first; hosts go
    before sources and interfaces that explain little more. So are those at ports that hardly anybody else is refused
    at: they happen beside what goes on everywhere. What is left is the network's, where it is still unusual
    there and at other ports, and else that of each source, host and interface.

    Parameters
    ----------
    rows
        Refusals, columns of the table `refusal`.
    limits
        Columns of `OVER`; without the network where that is not unusual.

    Returns
    -------
    pl.DataFrame
        One row per cause: columns of `OVER`, `value`, and what is told of it.
    """
    told: list[pl.DataFrame] = []
    left = rows
    for _ in range(_MOST_CAUSES):
        over = _over(left, limits)
        everywhere, best = over.filter(pl.col("level") == NETWORK), _best(over)
        if everywhere.is_empty() or best.is_empty() or best["excess"][0] < _EXPLAINS * everywhere["excess"][0]:
            break
        left = _tell(told, left, best)
    everywhere = _over(left, limits).filter(pl.col("level") == NETWORK)
    if len(everywhere):
        for level in (TARGET, SOURCE):
            left = _tell(told, left, _over(_of_its_own(left, level), limits).filter(pl.col("level") == level))
        everywhere = _over(left, limits).filter(pl.col("level") == NETWORK)
    if everywhere.is_empty():
        for level, alone in ((SOURCE, True), (TARGET, False), (SOURCE, False), (INTERFACE, False)):
            entities = _over(left, limits).filter(pl.col("level") == level)
            left = _tell(told, left, _explaining(entities, left, limits) if alone else entities)
    elif not _same_ports(told, left):
        _tell(told, left, everywhere)
    return _described(pl.concat(told)) if told else _NOTHING


_NOTHING: Final = pl.Schema({**OVER, "value": pl.Float64()}).to_frame()


def _over(rows: pl.DataFrame, limits: pl.DataFrame) -> pl.DataFrame:
    """Return the entities that reach their limit, with `value` and `excess`, the largest excess first."""
    levels, keys, rejected = limits["level"].to_numpy(), limits["key"].to_numpy(), rows["rejected"].to_numpy()
    everywhere = levels == NETWORK
    value, present = np.where(everywhere, rejected.sum(), 0), everywhere.copy()
    for level, key in KEY_OF.items():
        own = np.flatnonzero(levels == level)
        if len(own):
            groups = Groups(rows[key].to_numpy())
            places, found = rows_of(groups.keys, keys[own])
            value[own[found]] = groups.sum(rejected)[places[found]]
            present[own[found]] = True
    over = np.flatnonzero(present & (value >= limits["threshold"].to_numpy()))
    excess = value[over] - limits["median"].to_numpy()[over]
    order = np.lexsort((keys[over], levels[over], -excess))
    ranked = over[order]
    return limits.select(OVER.names())[ranked].with_columns(
        pl.Series("value", value[ranked]), pl.Series("excess", excess[order])
    )


def _best(over: pl.DataFrame) -> pl.DataFrame:
    """Return the host that explains most, or the source or interface that explains clearly more."""
    best = over.clear()
    for level in KEY_OF:
        first = over.filter(pl.col("level") == level).head(1)
        if len(first) and (best.is_empty() or first["excess"][0] > _BROADER[level] * best["excess"][0]):
            best = first
    return best


def _explaining(sources: pl.DataFrame, rows: pl.DataFrame, limits: pl.DataFrame) -> pl.DataFrame:
    """Return the sources that explain what is unusual at several hosts, and not at one above all."""
    if sources.is_empty():
        return sources
    hosts = limits.filter(pl.col("level") == TARGET).select(target_key="key", usual="median")
    unusual = (
        rows.group_by("target_key")
        .agg(total=pl.col("rejected").sum())
        .join(hosts, on="target_key", how="left")
        .select("target_key", unusual=(pl.col("total") - pl.col("usual").fill_null(0)).clip(0))
    )
    spread = (
        rows.group_by("source_key", "target_key")
        .agg(own=pl.col("rejected").sum())
        .join(unusual, on="target_key")
        .group_by(pl.col("source_key").alias("key"))
        .agg(own=pl.col("own").sum(), most=pl.col("own").max(), unusual=pl.col("unusual").sum())
        .filter(pl.col("most") < _SAME * pl.col("own"), pl.col("own") >= _EXPLAINS * pl.col("unusual"))
    )
    return sources.join(spread, on="key", how="semi")


def _tell(told: list[pl.DataFrame], rows: pl.DataFrame, entities: pl.DataFrame) -> pl.DataFrame:
    """Take down the rows of entities of one level, and return the others."""
    if entities.is_empty():
        return rows
    level = entities["level"][0]
    if level == NETWORK:
        told.append(rows.join(entities, how="cross"))
        return rows.clear()
    key = KEY_OF[level]
    told.append(
        rows.with_columns(pl.col(key).alias("key")).join(entities, on="key").select(*rows.columns, *entities.columns)
    )
    return rows.join(entities, left_on=key, right_on="key", how="anti")


def _of_its_own(rows: pl.DataFrame, level: int) -> pl.DataFrame:
    """Return the rows at ports of which one entity of a level has at least half."""
    records = pl.col("rejected")
    return rows.filter(2 * records.sum().over(KEY_OF[level], "port") >= records.sum().over("port"))


def _same_ports(told: list[pl.DataFrame], left: pl.DataFrame) -> bool:
    """Say whether what is left comes from the same cause as what is told already: it is about the same ports."""
    if not told:
        return False
    known = {port for each in told for port in _main_ports(each)}
    ports = _main_ports(left)
    return 2 * len(ports & known) >= len(ports)


def _main_ports(rows: pl.DataFrame) -> set[int]:
    of_port = rows.group_by("port").agg(pl.col("rejected").sum())
    return set(of_port.filter(pl.col("rejected") >= _MAIN_PORT * pl.col("rejected").sum())["port"])


def _described(told: pl.DataFrame) -> pl.DataFrame:
    """Tell of each cause who, whom, what, when and why, each bounded and in an order that follows from the records."""
    records = pl.col("rejected")
    causes = told.group_by(_ENTITY).agg(
        pl.col(*OVER.names()[2:]).first(),
        value=records.sum().cast(pl.Float64),
        sources=pl.col("source_key").n_unique().cast(pl.Int64),
        targets=pl.col("target_key").n_unique().cast(pl.Int64),
        ports=pl.col("port").n_unique().cast(pl.Int64),
        protocols=pl.col("protocol").unique().sort().head(EXAMPLES),
        source_internal=2 * records.filter("source_internal").sum() > records.sum(),
        target_internal=2 * records.filter("target_internal").sum() > records.sum(),
        interface=pl.col("interface_id").min(),
        reporter=pl.when("by_source").then("source_key").otherwise("target_key").min(),
        first_seen=pl.col("first_seen").min(),
        last_seen=pl.col("last_seen").max(),
    )
    ports = _ranked(told, ["port"])
    main = ports.filter(pl.col("rejected") >= _MAIN_PORT * records.sum().over(_ENTITY))
    return (
        causes.join(_top(_ranked(told, ["source_key"]), "source_key", "top_sources"), on=_ENTITY)
        .join(_top(_ranked(told, ["target_key"]), "target_key", "top_targets"), on=_ENTITY)
        .join(_top(ports, "port", "top_ports"), on=_ENTITY)
        .join(_top(main, "port", "main_ports"), on=_ENTITY, how="left")
        .join(_top(_ranked(told, ["reason"]), "reason", "reasons", _REASONS), on=_ENTITY)
        .join(_contacts(told), on=_ENTITY)
        .with_columns(pl.coalesce("main_ports", "top_ports").alias("main_ports"))
        .drop("main_ports_rejected")
    )


def _ranked(told: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Sum the records of each cause by something, the largest first."""
    return (
        told.group_by(*_ENTITY, *by)
        .agg(pl.col("rejected").sum(), pl.col("first_seen").min(), pl.col("last_seen").max())
        .sort("rejected", *by, descending=[True, *(False for _ in by)])
    )


def _top(ranked: pl.DataFrame, name: str, alias: str, count: int = EXAMPLES) -> pl.DataFrame:
    """List the largest of each cause, with their records."""
    return ranked.group_by(_ENTITY, maintain_order=True).agg(
        pl.col(name).head(count).alias(alias), pl.col("rejected").head(count).alias(f"{alias}_rejected")
    )


def _contacts(told: pl.DataFrame) -> pl.DataFrame:
    """List the largest contacts of each cause, with their times."""
    names = {
        "example_sources": "source_key",
        "example_targets": "target_key",
        "example_ports": "port",
        "example_records": "rejected",
        "example_first": "first_seen",
        "example_last": "last_seen",
    }
    ranked = _ranked(told, ["source_key", "target_key", "port"])
    return ranked.group_by(_ENTITY, maintain_order=True).agg(
        pl.col(name).head(_CONTACTS).alias(alias) for alias, name in names.items()
    )
