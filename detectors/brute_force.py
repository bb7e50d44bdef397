"""Brute force: many short and similar connections to a service, each of the size of one attempt to log in."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import polars as pl

from detectors.contract import NO_SCORES, SCORES, Card, Description, Detector, Need, Parameter, Parameters, View
from detectors.statistics.logins import LEVELS_PER_OCTAVE
from detectors.statistics.tables import EXAMPLES

_DATABASES: Final = (1433, 1521, 3306, 5432, 6379, 27017)
"""Ports of databases, at which programs log in all day."""

_NAMES: Final = {
    21: "FTP", 22: "SSH", 23: "Telnet", 445: "SMB", 1433: "SQL Server", 1521: "Oracle", 3306: "MySQL", 3389: "RDP",
    5432: "PostgreSQL", 5985: "WinRM", 5986: "WinRM", 6379: "Redis", 27017: "MongoDB",
}  # fmt: skip

_BURST, _STEADY, _SLOW = Need("logins", 5), Need("logins", 35), Need("logins", 1440)

_WITHIN: Final = {5: "five minutes", 35: "half an hour", 1440: "a day"}


class _Rule(NamedTuple):
    """How many guesses are too many in a window, and in how many of its parts there must be some."""

    need: Need
    parameter: str
    parts: str | None = None


_RULES: Final = (_Rule(_BURST, "burst"), _Rule(_STEADY, "steady"), _Rule(_SLOW, "slow", "slow_hours"))

_COLUMNS: Final = ("guesses", "sessions", "sizes", "squares", "sent_bytes", "received_bytes")

_FOUND: Final = pl.Schema(
    {
        **SCORES,
        "severity": pl.String(),
        "panes": pl.Int64(),
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
        sees="Somebody guesses passwords: very many short connections to a service, all answered, alike, and of the size "
        "of one attempt to log in. One source guesses at one host or at many, or many sources guess at one host.",
        entity="source or target",
        severity="low",
        severity_inside="high",
        parameters=(
            Parameter(
                name="burst",
                default=25,
                unit="attempts",
                meaning="Attempts within five minutes from which on it is guessing.",
                reason="Microsoft Sentinel reports 25 failed RDP logins in 5 minutes.",
                minimum=2,
            ),
            Parameter(
                name="steady",
                default=30,
                unit="attempts",
                meaning="Attempts within half an hour from which on it is guessing.",
                reason="Zeek reports 30 failed SSH logins in 30 minutes (detect-bruteforcing.zeek).",
                minimum=2,
            ),
            Parameter(
                name="slow",
                default=60,
                unit="attempts",
                meaning="Attempts within a day from which on it is guessing.",
                reason="20 an hour for three hours, which stays below every limit of half an hour.",
                minimum=2,
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
        response="When the source is outside, see whether a longer connection followed its attempts, and close the port "
        "to strangers. When it is one of your own, take it for compromised until it is explained.",
    )
    needs: ClassVar = (_BURST, _STEADY, _SLOW)

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score sources that guess at many hosts, then hosts at which many guess, then single pairs of both."""
        day = view.table(_SLOW)
        if day.is_empty():
            return NO_SCORES
        known = _known(day, parameters)
        windows = {rule: _judged(view.table(rule.need), known, parameters) for rule in _RULES}
        spraying = _strongest(_grouped(rows, rule, "source_key", parameters) for rule, rows in windows.items())
        windows = _without(windows, spraying, "source_key")
        joined = _strongest(_grouped(rows, rule, "target_key", parameters) for rule, rows in windows.items())
        windows = _without(windows, joined, "target_key")
        pairs = _strongest(_grouped(rows, rule, None, parameters) for rule, rows in windows.items())
        refused = _refused(view.table(_STEADY), parameters).join(pairs, on=_PAIR, how="anti")
        return pl.concat([spraying, joined, pairs, refused])

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Say who guesses where, and how often."""
        port, times, within = _port(hit["port"]), f"{hit['value']:.0f} times", _WITHIN[hit["panes"]]
        if hit["severity"] is not None:
            summary = f"{hit['target']} refused {hit['source']} {times} at {port} within {within}"
        elif hit["target"] is None:
            summary = f"{hit['source']} tried to log in at {port} of {hit['targets']} hosts {times} within {within}"
        elif hit["source"] is None:
            summary = f"{hit['sources']} hosts tried to log in at {port} of {hit['target']} {times} within {within}"
        else:
            summary = f"{hit['source']} tried to log in at {port} of {hit['target']} {times} within {within}"
        guesses = max(hit["guesses"], 1)
        examples = {} if hit["example_hosts"] is None else {"example_hosts": hit["example_hosts"]}
        return Description(
            summary=summary,
            ports=(hit["port"],),
            protocol=6,
            evidence={
                "attempts": int(hit["value"]),
                "window_seconds": 60 * hit["panes"],
                "sources": hit["sources"],
                "targets": hit["targets"],
                "larger_sessions": hit["sessions"],
                "refused_attempts": hit["refused"],
                "mean_bytes_sent": hit["sent_bytes"] // guesses,
                "mean_bytes_received": hit["received_bytes"] // guesses,
                **{name: sorted(view.addresses(keys)) for name, keys in examples.items()},
            },
        )


_PAIR: Final = ("source_key", "target_key", "port")


def _port(port: int) -> str:
    return f"port {port} ({_NAMES[port]})" if port in _NAMES else f"port {port}"


def _of_programs() -> pl.Expr:
    """Say where short connections are how programs work: databases for own hosts, and ports that are not for logins."""
    return ~pl.col("login") | (pl.col("source_internal") & pl.col("port").is_in(_DATABASES))


def _known(day: pl.DataFrame, parameters: Parameters) -> pl.Series:
    """Return the contacts of own hosts that were there from when they, or the service, were first seen."""
    since = pl.min_horizontal(
        pl.col("first_seen").min().over("source_key"), pl.col("first_seen").min().over("target_key", "port")
    )
    told = day.with_columns(parameters.column("known_seconds", day["source_key"]))
    early = pl.col("first_seen") < since + pl.col("known_seconds")
    return told.filter(pl.col("source_internal") & _of_programs() & early)["contact"]


def _judged(rows: pl.DataFrame, known: pl.Series, parameters: Parameters) -> pl.DataFrame:
    """Keep what may be guessing, with what it is held against."""
    rows = rows.filter(~pl.col("contact").is_in(known.implode()))
    factor, spread, elsewhere = (
        parameters.column(name, rows["source_key"]) for name in ("elsewhere_factor", "spread", "spread_elsewhere")
    )
    programs = rows.select(_of_programs()).to_series()
    return rows.with_columns(
        programs.alias("programs"),
        pl.select(pl.when(programs).then(factor).otherwise(1.0)).to_series().alias("factor"),
        pl.select(pl.when(programs).then(elsewhere).otherwise(spread)).to_series().alias("spread"),
    )


def _grouped(rows: pl.DataFrame, rule: _Rule, by: str | None, parameters: Parameters) -> pl.DataFrame:
    """Score the attempts of one window, for each port.

    Parameters
    ----------
    rows
        See `_judged`.
    rule
        What they are held against.
    by
        The end that is the same, `source_key` or `target_key`, while the other is many; None for pairs.
    parameters
        The detector's.
    """
    if rule.parts is not None:
        rows = rows.filter(~pl.col("programs"))
    if rows.is_empty():
        return _FOUND.to_frame()
    many = {"source_key": "target_key", "target_key": "source_key"}.get(by or "")
    keys = [by, "port"] if by is not None else list(_PAIR)
    guessed = pl.col("guesses") > 0
    groups = (
        rows.group_by(keys)
        .agg(
            pl.col(_COLUMNS).sum(),
            pl.col("refused").sum(),
            pl.col("factor", "spread", "active").max(),
            pl.col("source_internal", "target_internal").filter(guessed).min(),
            pl.col("first_seen").filter(guessed).min(),
            pl.col("last_seen").filter(guessed).max(),
            most=pl.col("guesses").max(),
            sources=pl.col("source_key").filter(guessed).n_unique().cast(pl.Int64),
            targets=pl.col("target_key").filter(guessed).n_unique().cast(pl.Int64),
            example_hosts=pl.col(many or "target_key").filter(guessed).unique().bottom_k(EXAMPLES).sort(),
        )
        .filter(pl.col("guesses") > 0)
    )
    entities = groups[by or "source_key"]
    needed = {name: parameters.column(name, entities) for name in (rule.parameter, "share", "sources", "targets")}
    parts = parameters.column(rule.parts, entities) if rule.parts is not None else pl.lit(0.0)
    variance = pl.col("squares") / pl.col("guesses") - (pl.col("sizes") / pl.col("guesses")).pow(2)
    alike = variance.clip(lower_bound=0).sqrt() / LEVELS_PER_OCTAVE <= pl.col("spread")
    enough = {
        "source_key": pl.col("targets") >= needed["targets"],
        "target_key": (pl.col("sources") >= needed["sources"]) & (2 * pl.col("most") <= pl.col("guesses")),
    }.get(by or "", pl.lit(value=True))
    threshold = needed[rule.parameter] * groups["factor"]
    hits = groups.with_columns(threshold.alias("threshold"), value=pl.col("guesses").cast(pl.Float64)).filter(
        pl.col("value") >= pl.col("threshold"),
        pl.col("guesses") >= needed["share"] * (pl.col("guesses") + pl.col("sessions")),
        pl.col("active") >= parts,
        alike,
        enough,
    )
    return _complete(hits.with_columns(panes=pl.lit(rule.need.panes, pl.Int64)), many)


def _refused(rows: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """Score what was refused at login services, pair by pair; a program that looks for its database does not count."""
    threshold = parameters.column("refused", rows["source_key"])
    hits = rows.with_columns(threshold.alias("threshold"), value=pl.col("refused").cast(pl.Float64)).filter(
        pl.col("value") >= pl.col("threshold"), ~_of_programs()
    )
    one = pl.lit(1, pl.Int64)
    return _complete(
        hits.with_columns(severity=pl.lit("low"), sources=one, targets=one, panes=pl.lit(_STEADY.panes, pl.Int64)), None
    )


def _complete(hits: pl.DataFrame, many: str | None) -> pl.DataFrame:
    """Bring hits into the columns of `_FOUND`; the end that is many is null, and examples are of it alone."""
    told = hits if many is not None else hits.with_columns(example_hosts=pl.lit(None, pl.List(pl.UInt64)))
    null = [name for name in _FOUND if name not in told.columns or name == many]
    return told.with_columns(pl.lit(None, _FOUND[name]).alias(name) for name in null).select(
        pl.col(name).cast(dtype) for name, dtype in _FOUND.items()
    )


def _strongest(found: Any) -> pl.DataFrame:
    """Keep for each pair, or end, and port the window in which it lies furthest above its threshold."""
    together = pl.concat([_FOUND.to_frame(), *found])
    order = together.sort(pl.col("value") / pl.col("threshold"), "panes", descending=[True, False])
    return order.unique(_PAIR, keep="first", maintain_order=True)


def _without(windows: Mapping[_Rule, pl.DataFrame], hits: pl.DataFrame, end: str) -> dict[_Rule, pl.DataFrame]:
    """Leave out what is told already."""
    if hits.is_empty():
        return dict(windows)
    return {rule: rows.join(hits, on=[end, "port"], how="anti") for rule, rows in windows.items()}
