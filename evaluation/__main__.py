"""Evaluate the detectors: `python -m evaluation`; tables are printed, figures written to evaluation/results."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from benchmarks.measurement import surroundings
from benchmarks.tables import aligned
from detectors.catalogue import cards
from evaluation import recorded, report
from evaluation.attack import attacks
from evaluation.cases import CASES, LONG_CASES, attacked, attacked_for_a_day, hours_for, ordinary
from evaluation.matching import SLACK_SECONDS, Score, score
from evaluation.run import settings, told_of
from evaluation.tables import cases_table, kinds_table, ordinary_table, recorded_table
from streams.allocation import keep_freed_memory
from streams.generate import Traffic
from streams.sources.generated import GeneratedSource

RESULT: Final = Path(__file__).parent / "results" / "detection.json"

VARIANTS: Final[Mapping[str, tuple[int, int]]] = {"60 s": (60, 5), "600 s": (600, 5), "60 s, no TCP flags": (60, 2)}
"""How attacks are logged: aggregation and version. The first is run with every seed, the others with one."""


def scored(traffic: Traffic) -> Score:
    """Run generated traffic, and hold the findings against its labels."""
    told = told_of(GeneratedSource(traffic), settings())
    slack = max(SLACK_SECONDS, traffic.aggregation)
    return score(told, attacks(traffic), traffic.hosts * traffic.minutes / 1440, slack)


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many seeds are run.")
@click.option("--first-seed", type=int, default=1, show_default=True, help="The first of them: tune on others.")
@click.option(
    "--only",
    type=re.compile,
    help="Regular expression: run the attacks alone whose kind, speed and name match, once each, and write nothing.",
)
@click.option(
    "--recorded",
    "directory",
    type=click.Path(path_type=Path),
    default=lambda: os.environ.get("EVALUATE_RECORDED") or "../shared/flows",
    show_default="$EVALUATE_RECORDED or ../shared/flows",
    help="Directory of recorded traffic with labels; left out where it is absent.",
)
@click.option("--result", type=click.Path(path_type=Path, dir_okay=False), default=RESULT, help="File for the figures.")
def main(*, seeds: int, first_seed: int, only: re.Pattern[str] | None, directory: Path, result: Path) -> None:
    """Find out how much of what is in traffic is found, how soon, and what is found that is not there."""
    keep_freed_memory()
    numbers = range(first_seed, first_seed + seeds)
    if only is not None:
        _some(only, numbers)
        return
    found: dict[str, list[Score]] = {}
    for name, (aggregation, version) in VARIANTS.items():
        chosen = numbers if not found else numbers[:1]
        made = [partial(attacked, seed, aggregation=aggregation, version=version) for seed in chosen]
        found[name] = _run(f"attacks, {name}", made)
    usual = next(iter(VARIANTS))
    found[usual] += _run("attacks of a day", [partial(attacked_for_a_day, numbers[0])])
    quiet = _run("ordinary traffic", [partial(ordinary, seed) for seed in numbers])
    document: dict[str, Any] = {
        "surroundings": surroundings(),
        "detectors": {kind: card.version for kind, card in cards().items()},
        "seeds": seeds,
        "cases": {name: report.cases(scores) for name, scores in found.items()},
        "speeds": report.speeds(found[usual]),
        "kinds": report.kinds([*found[usual], *quiet]),
        "attacked_host_days": round(sum(each.host_days for each in found[usual]), 2),
        "ordinary": report.ordinary(quiet),
    }
    for lines in (cases_table, kinds_table, ordinary_table):
        head, rows = lines(document)
        click.echo(f"{aligned([head, *rows])}\n")
    # What was recorded belongs to whoever recorded it: it is shown, and kept nowhere.
    if files := _recorded(directory):
        head, rows = recorded_table(files)
        click.echo(aligned([head, *rows]))
    result.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _some(only: re.Pattern[str], seeds: Iterable[int]) -> None:
    """Show what is found of some cases, in as little traffic as they need."""
    short, long = ([each for each in cases if only.search(each.label)] for cases in (CASES, LONG_CASES))
    made = [partial(attacked, seed, short, hours=hours_for(short)) for seed in seeds if short]
    made += [partial(attacked_for_a_day, seed, long) for seed in seeds if long]
    if not made:
        raise click.BadParameter("no case matches", param_hint="--only")
    head, rows = cases_table({"cases": {next(iter(VARIANTS)): report.cases(_run("some attacks", made))}})
    click.echo(aligned([head, *rows]))


def _run(name: str, made: Sequence[Callable[[], Traffic]]) -> list[Score]:
    begun = time.monotonic()
    scores = [scored(make()) for make in made]
    click.echo(f"{name}: {time.monotonic() - begun:.0f} s", err=True)
    return scores


def _recorded(directory: Path) -> list[dict[str, Any]]:
    if not directory.is_dir():
        click.echo(f"no recorded traffic in {directory}: left out", err=True)
        return []
    return [_file(name, each) for name, each in recorded.scores(directory)]


def _file(name: str, each: Score) -> dict[str, Any]:
    by_kind: dict[str, list[bool]] = {}
    for verdict in each.verdicts:
        by_kind.setdefault(verdict.attack.kind, []).append(verdict.found)
    return {
        "file": name,
        "found": {kind: [sum(found), len(found)] for kind, found in sorted(by_kind.items())},
        "findings": len(each.true),
        "side": len(each.side),
        "false": _counted(finding.kind for finding in each.false),
        "host_days": each.host_days,
    }


def _counted(kinds: Iterable[str]) -> dict[str, int]:
    several = list(kinds)
    return {kind: several.count(kind) for kind in sorted(set(several))}


if __name__ == "__main__":
    sys.exit(main())
