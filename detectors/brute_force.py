"""Brute force: many short and similar connections to a service, each of the size of one attempt to log in."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.contract import NO_SCORES, SCORES, Card, Description, Detector, Need, Parameter, Parameters, View
from detectors.statistics import logins
from detectors.statistics.grouping import Groups, UInt64Array, combined, rows_of
from detectors.statistics.tables import EXAMPLES, FAST_PANES

Float64Array = npt.NDArray[np.float64]

_NAMES: Final = {
    21: "FTP", 22: "SSH", 23: "Telnet", 445: "SMB", 1433: "SQL Server", 1521: "Oracle", 3306: "MySQL", 3389: "RDP",
    5432: "PostgreSQL", 5985: "WinRM", 5986: "WinRM", 6379: "Redis", 27017: "MongoDB",
}  # fmt: skip

_BURST, _STEADY, _SLOW = Need("logins", FAST_PANES), Need("logins", 35), Need("logins", 1440)

_WITHIN: Final = {FAST_PANES: "six minutes", 35: "half an hour", 1440: "a day"}


class _Rule(NamedTuple):
    """How many guesses are too many in a window, and in how many of its parts there must be some."""

    need: Need
    parameter: str
    parts: str | None = None


_RULES: Final = (_Rule(_BURST, "burst"), _Rule(_STEADY, "steady"), _Rule(_SLOW, "slow", "slow_hours"))

_FOUND: Final = pl.Schema(
    {
        **SCORES,
        "severity": pl.String(),
        "window_panes": pl.Int64(),
        "port": pl.UInt16(),
        "sources": pl.Int64(),
        "targets": pl.Int64(),
        "example_hosts": pl.List(pl.UInt64()),
        "guesses": pl.Int64(),
        "sessions": pl.Int64(),
        "refused": pl.Int64(),
        "sent_bytes": pl.Int64(),
        "received_bytes": pl.Int64(),
    }
)


class BruteForce(Detector):
    """Attempts to log in, by one source or by many, within minutes or over a day."""

    card: ClassVar = Card(
        kind="brute_force",
        title="Brute force",
        sees="Somebody guesses passwords: very many short connections to a service, alike, and each of the size of one "
        "attempt to log in. One source guesses at one host or at many, or many sources guess at one host. Very many "
        "refused attempts at one login service are reported too, and matter little.",
        entity="source",
        severity="low",
        severity_inside="high",
        parameters=(
            Parameter(
                name="burst",
                default=25,
                unit="attempts",
                meaning="Attempts within six minutes from which on it is guessing.",
                reason="Microsoft Sentinel reports 25 failed RDP logins in 5 minutes; six panes hold them.",
                minimum=2,
                threshold=True,
            ),
            Parameter(
                name="steady",
                default=30,
                unit="attempts",
                meaning="Attempts within half an hour from which on it is guessing.",
                reason="Zeek reports 30 failed SSH logins in 30 minutes (detect-bruteforcing.zeek).",
                minimum=2,
                threshold=True,
            ),
            Parameter(
                name="slow",
                default=60,
                unit="attempts",
                meaning="Attempts within a day from which on it is guessing.",
                reason="20 an hour for three hours, which stays below every limit of half an hour.",
                minimum=2,
                threshold=True,
            ),
            Parameter(
                name="slow_hours",
                default=3,
                unit="hours",
                meaning="In so many hours of the day there must be attempts before they are held against `slow`.",
                reason="What happens within an hour or two is judged by the shorter windows.",
                minimum=1,
            ),
            Parameter(
                name="elsewhere_factor",
                default=4,
                unit="multiple of burst and steady",
                meaning="Raises the limits at ports that are not for logins, and at databases for one's own hosts.",
                reason="Programs open short connections to their services all day, people don't.",
                minimum=1,
            ),
            Parameter(
                name="refused",
                default=120,
                unit="attempts",
                meaning="Attempts refused at one login service within half an hour from which on they are reported.",
                reason="A client that asks again every 15 seconds makes half as many.",
                minimum=2,
                threshold=True,
            ),
            Parameter(
                name="share",
                default=0.8,
                unit="part of all that was answered",
                meaning="So many of the answered connections must look like attempts; the others are larger or longer.",
                reason="Automation that may log in moves more than a password.",
            ),
            Parameter(
                name="spread",
                default=0.75,
                unit="octaves, standard deviation",
                meaning="How unlike the attempts may be in bytes where people log in.",
                reason="Names and passwords differ by some bytes; attempts at two and at six passwords by an octave.",
            ),
            Parameter(
                name="spread_elsewhere",
                default=0.4,
                unit="octaves, standard deviation",
                meaning="How unlike the attempts may be in bytes where `elsewhere_factor` holds.",
                reason="What programs ask and are answered differs more than that.",
            ),
            Parameter(
                name="targets",
                default=3,
                unit="hosts",
                meaning="A source that guesses at so many hosts gets one finding, about all of them.",
                reason="Two hosts may be a pair; from three on it is one attack on many.",
                minimum=2,
            ),
            Parameter(
                name="sources",
                default=5,
                unit="hosts",
                meaning="So many sources that guess at one host get one finding, if none makes more than half of it.",
                reason="The limits then hold for all of them together, so that none has to exceed them.",
                minimum=2,
            ),
            Parameter(
                name="known_seconds",
                default=600,
                unit="seconds",
                meaning="An own host is left alone at databases and at ports that are not for logins if it was there "
                "within so many seconds from when it, or the service, was first seen that day.",
                reason="Applications, balancers and probes talk to their services from their start.",
            ),
        ),
        mitre=("T1110", "T1110.001", "T1110.003"),
        false_positives=(
            "A job whose password or key has expired, and that goes on trying.",
            "A program that opens a connection for each question to a database it has just been given access to.",
            "Many anonymous visitors of a public FTP server.",
            "A client that polls a service of its own on an unusual port from outside, every few seconds.",
        ),
        response="When the source is outside, see whether a longer connection followed its attempts, and close the "
        "port to strangers. When it is one of your own, take it for compromised until it is explained.",
        version=2,
    )
    needs: ClassVar = (_BURST, _STEADY, _SLOW)

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score sources that guess at many hosts, then hosts at which many guess, then single pairs of both."""
        tables = {rule: view.table(rule.need, "together", _least(rule, parameters)) for rule in _RULES[:-1]}
        # Who was there from the start is asked only where it matters: that takes the whole day.
        slow, whole = _RULES[-1], any(map(_by_own_programs, tables.values()))
        tables[slow] = view.table(_SLOW) if whole else view.table(_SLOW, "together", _least(slow, parameters))
        whole = whole or _by_own_programs(tables[slow])
        known = _known(view.table(_SLOW), parameters) if whole else np.zeros(0, np.uint64)
        strangers = [
            (rule, _strangers(table, known, parameters.least(rule.parameter))) for rule, table in tables.items()
        ]
        windows = [(rule, _Rows(table, parameters)) for rule, table in strangers if len(table)]
        found: list[pl.DataFrame] = []
        for by in _ENDS if windows else ():
            hits = _strongest([rows.over(rule, by, parameters) for rule, rows in windows])
            if len(hits):
                found.append(hits)
                windows = [(rule, rows.without(hits, by)) for rule, rows in windows]
        refused = _refused(view.table(_STEADY, "refused", parameters.least("refused")), parameters)
        if len(refused):
            found.append(refused.join(_pairs(found), on=_PAIR, how="anti"))
        return pl.concat(found) if found else NO_SCORES

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Say who guesses where, and how often."""
        port, times, within = _port(hit["port"]), f"{hit['value']:.0f} times", _WITHIN[hit["window_panes"]]
        who, whom = hit["source"] or f"{hit['sources']} hosts", hit["target"] or f"{hit['targets']} hosts"
        summary = f"{who} tried to log in at {port} of {whom} {times} within {within}"
        if hit["severity"] is not None:
            summary = f"{whom} refused {who} {times} at {port} within {within}"
        guesses, examples = max(hit["guesses"], 1), hit["example_hosts"]
        return Description(
            summary=summary,
            ports=(hit["port"],),
            protocol=6,
            evidence={
                "attempts": int(hit["value"]),
                "window_seconds": 60 * hit["window_panes"],
                "sources": hit["sources"],
                "targets": hit["targets"],
                "larger_sessions": hit["sessions"],
                "refused_attempts": hit["refused"],
                "mean_bytes_sent": hit["sent_bytes"] // guesses,
                "mean_bytes_received": hit["received_bytes"] // guesses,
                **({} if examples is None else {"example_hosts": sorted(view.addresses(examples))}),
            },
        )


_PAIR: Final = ("source_key", "target_key", "port")

_ENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "one source": ("source_key", "port"),
    "one target": ("target_key", "port"),
    "one pair": _PAIR,
}
"""What attempts are counted by; the first that tells of them tells alone."""


def _port(port: int) -> str:
    return f"port {port} ({_NAMES[port]})" if port in _NAMES else f"port {port}"


def _least(rule: _Rule, parameters: Parameters) -> float:
    """Return what `together` is at least where a limit is reached, whoever it holds for."""
    factor = logins.OTHERS_COUNT if rule.parts else min(logins.OTHERS_COUNT, parameters.least("elsewhere_factor"))
    return max(parameters.least(rule.parameter) * factor, 1)


def _known(day: pl.DataFrame, parameters: Parameters) -> UInt64Array:
    """Return the contacts of own hosts that were there from when they, or the service, were first seen; ascending."""
    first = day["first_seen"].to_numpy()
    own = np.flatnonzero(day["programs"].to_numpy() & day["source_internal"].to_numpy())
    since = first[own]
    for keys in (day["source_key"].to_numpy(), combined(day["target_key"].to_numpy(), day["port"].to_numpy())):
        groups = Groups(keys)
        rows, _ = rows_of(groups.keys, keys[own])
        since = np.minimum(since, groups.min(first)[rows])
    early = first[own] < since + parameters.column("known_seconds", day["source_key"][own]).to_numpy()
    return np.sort(day["contact"].to_numpy()[own[early]])


def _by_own_programs(table: pl.DataFrame) -> bool:
    return len(table) > 0 and bool((table["programs"].to_numpy() & table["source_internal"].to_numpy()).any())


def _strangers(table: pl.DataFrame, known: UInt64Array, least: float) -> pl.DataFrame:
    """Leave out known contacts, ascending; and everybody, if the others have made fewer guesses than `least`."""
    if table.is_empty():
        return table
    strangers = ~rows_of(known, table["contact"].to_numpy())[1]
    if table["guesses"].to_numpy()[strangers].sum() < least:
        return table.clear()
    return table if strangers.all() else table.filter(pl.Series(strangers))


class _Rows:
    """The logins of one window that may be guessing.

    Parameters
    ----------
    table
        The logins.
    parameters
        The detector's.
    """

    def __init__(self, table: pl.DataFrame, parameters: Parameters) -> None:
        self._table = table
        self._parameters = parameters

    def without(self, hits: pl.DataFrame, by: str) -> "_Rows":
        """Leave out what is told."""
        return _Rows(self._table.join(hits, on=list(_ENDS[by]), how="anti"), self._parameters)

    def over(self, rule: _Rule, by: str, parameters: Parameters) -> pl.DataFrame:
        """Return the columns of `_FOUND` where there are too many attempts that are alike."""
        table = self._table
        guesses = table["guesses"].to_numpy()
        # A row is a pair.
        most = guesses.max(initial=0) if by == "one pair" else guesses.sum()
        if most < parameters.least(rule.parameter):
            return _NOTHING
        groups = Groups(combined(*(table[name].to_numpy() for name in _ENDS[by])))
        total = groups.sum(guesses)
        if total.max() < parameters.least(rule.parameter):
            return _NOTHING
        entities = table["target_key" if by == "one target" else "source_key"].gather(groups.some)

        def needed(name: str) -> Float64Array:
            return parameters.column(name, entities).to_numpy()

        programs = groups.max(table["programs"].to_numpy())
        most, hosts = groups.max(guesses), groups.sum((guesses > 0).astype(np.int64))
        threshold = needed(rule.parameter) * np.where(programs, needed("elsewhere_factor"), 1)
        hit = (total >= threshold) & (total > 0)
        if rule.parts is not None:
            hit &= ~programs & (groups.max(table["active"].to_numpy()) >= needed(rule.parts))
        if by == "one source":
            hit &= hosts >= needed("targets")
        elif by == "one target":
            hit &= (hosts >= needed("sources")) & (2 * most <= total)
        if not hit.any():
            return _NOTHING
        sessions = groups.sum(table["sessions"].to_numpy())
        unlike = logins.spread(total, *(groups.sum(table[name].to_numpy()) for name in ("sizes", "squares")))
        hit &= (total >= needed("share") * (total + sessions)) & (
            unlike <= np.where(programs, needed("spread_elsewhere"), needed("spread"))
        )
        columns = {"contact": table["contact"].to_numpy()[groups.some], "threshold": threshold}
        return self._told(rule, by, pl.DataFrame(columns).filter(pl.Series(hit)))

    def _told(self, rule: _Rule, by: str, hits: pl.DataFrame) -> pl.DataFrame:
        """Bring together what is told of hits, each named by one of its contacts."""
        if hits.is_empty():
            return _NOTHING
        ends = list(_ENDS[by])
        named = hits.join(self._table.select("contact", *ends), on="contact").drop("contact")
        many = {"one source": "target_key", "one target": "source_key"}.get(by)
        told = (
            self._table.join(named, on=ends)
            .group_by(ends)
            .agg(
                pl.col("threshold").first(),
                pl.col("guesses", "sessions", "refused", "sent_bytes", "received_bytes").sum(),
                pl.col("source_internal", "target_internal").filter(pl.col("guesses") > 0).min(),
                pl.col("first_seen").filter(pl.col("guesses") > 0).min(),
                pl.col("last_seen").filter(pl.col("guesses") > 0).max(),
                sources=pl.col("source_key").filter(pl.col("guesses") > 0).n_unique().cast(pl.Int64),
                targets=pl.col("target_key").filter(pl.col("guesses") > 0).n_unique().cast(pl.Int64),
                example_hosts=pl.col(many or "target_key").filter(pl.col("guesses") > 0).unique().bottom_k(EXAMPLES),
            )
            .with_columns(
                pl.col("guesses").cast(pl.Float64).alias("value"), window_panes=pl.lit(rule.need.panes, pl.Int64)
            )
        )
        return _complete(told if many is not None else told.drop("example_hosts"))


def _refused(rows: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """Score what was refused at login services, pair by pair; a program that looks for its database does not count."""
    if rows.is_empty():
        return _NOTHING
    hits = rows.filter(~pl.col("programs"))
    if hits.is_empty():
        return _NOTHING
    one = pl.lit(1, pl.Int64)
    return _complete(
        hits.with_columns(
            parameters.column("refused", hits["source_key"]).alias("threshold"),
            value=pl.col("refused").cast(pl.Float64),
            severity=pl.lit("low"),
            sources=one,
            targets=one,
            window_panes=pl.lit(_STEADY.panes, pl.Int64),
        )
    )


def _complete(hits: pl.DataFrame) -> pl.DataFrame:
    """Bring hits into the columns of `_FOUND`; what is missing is null."""
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in _FOUND.items() if name not in hits.columns]
    return hits.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in _FOUND.items())


def _strongest(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Keep for each end, or pair, and port the window in which it lies furthest above its threshold."""
    hits = [each for each in found if len(each)]
    if not hits:
        return _NOTHING
    excess = pl.col("value") / pl.col("threshold")
    together = pl.concat(hits).sort(excess, "window_panes", descending=[True, False], maintain_order=True)
    return together.unique(_PAIR, keep="first", maintain_order=True)


def _pairs(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([_NOTHING, *found]).select(_PAIR)


_NOTHING: Final = _FOUND.to_frame()
