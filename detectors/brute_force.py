"""Brute force: many short and similar connections to a service, each of the size of one attempt to log in."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl

from detectors.contract import NO_SCORES, Card, Description, Detector, Need, Parameter, Parameters, View
from detectors.guesses import ENDS, NOTHING, PAIR, Guesses, Rule, complete
from detectors.statistics import logins
from detectors.statistics.grouping import Groups, UInt64Array, combined, rows_of
from detectors.statistics.tables import FAST_PANES

_NAMES: Final = {
    21: "FTP", 22: "SSH", 23: "Telnet", 445: "SMB", 1433: "SQL Server", 1521: "Oracle", 3306: "MySQL", 3389: "RDP",
    5432: "PostgreSQL", 5985: "WinRM", 5986: "WinRM", 6379: "Redis", 27017: "MongoDB",
}  # fmt: skip

_BURST, _STEADY, _SLOW = Need("logins", FAST_PANES), Need("logins", 35), Need("logins", 1440)

_WITHIN: Final = {FAST_PANES: "six minutes", 35: "half an hour", 1440: "a day"}


_RULES: Final = (Rule(_BURST, "burst"), Rule(_STEADY, "steady"), Rule(_SLOW, "slow", "slow_hours"))


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
    patience: ClassVar = 3
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
        windows = [(rule, Guesses(table, parameters)) for rule, table in strangers if len(table)]
        found: list[pl.DataFrame] = []
        for by in ENDS if windows else ():
            hits = _strongest([rows.over(rule, by, parameters) for rule, rows in windows])
            if len(hits):
                found.append(hits)
                windows = [(rule, rows.without(hits, by)) for rule, rows in windows]
        refused = _refused(view.table(_STEADY, "refused", parameters.least("refused")), parameters)
        if len(refused):
            found.append(refused.join(_pairs(found), on=PAIR, how="anti"))
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


def _port(port: int) -> str:
    return f"port {port} ({_NAMES[port]})" if port in _NAMES else f"port {port}"


def _least(rule: Rule, parameters: Parameters) -> float:
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


def _refused(rows: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """Score what was refused at login services, pair by pair; a program that looks for its database does not count."""
    if rows.is_empty():
        return NOTHING
    hits = rows.filter(~pl.col("programs"))
    if hits.is_empty():
        return NOTHING
    one = pl.lit(1, pl.Int64)
    return complete(
        hits.with_columns(
            parameters.column("refused", hits["source_key"]).alias("threshold"),
            value=pl.col("refused").cast(pl.Float64),
            severity=pl.lit("low"),
            sources=one,
            targets=one,
            window_panes=pl.lit(_STEADY.panes, pl.Int64),
        )
    )


def _strongest(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Keep for each end, or pair, and port the window in which it lies furthest above its threshold."""
    hits = [each for each in found if len(each)]
    if not hits:
        return NOTHING
    excess = pl.col("value") / pl.col("threshold")
    together = pl.concat(hits).sort(excess, "window_panes", descending=[True, False], maintain_order=True)
    return together.unique(PAIR, keep="first", maintain_order=True)


def _pairs(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([NOTHING, *found]).select(PAIR)
