"""`flowhawk tune`: what other thresholds would have found."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from detectors.contract import Parameter


@click.command()
@click.argument("places", metavar="FILE...", nargs=-1, required=True)
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
@click.option("--internal", metavar="CIDR", multiple=True, help="One of your own networks; may be given repeatedly.")
@click.option(
    "--baselines", type=click.Path(path_type=Path, dir_okay=False), help="What is usual for hosts, to begin with."
)
@click.option("--detector", "kinds", metavar="KIND", multiple=True, help="Only this one; may be given repeatedly.")
@click.option("--parameter", "names", metavar="NAME", multiple=True, help="Vary only this threshold, not all of them.")
@click.option(
    "--per-day",
    metavar="N",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Findings wanted a day, of each kind.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything that was tried as one JSON object instead.")
def command(
    places: tuple[str, ...],
    config: Path | None,
    internal: tuple[str, ...],
    baselines: Path | None,
    kinds: tuple[str, ...],
    names: tuple[str, ...],
    per_day: float,
    as_json: bool,
) -> None:
    """Say what other thresholds would have found in files, and which to set.

    The thresholds of a detector are raised and lowered together. What is printed are settings, ready for a file, with
    what was tried as comments: the sharpest ones that give no more findings a day than are wanted. Choose traffic in
    which nothing happened that should be found.
    """
    from streams import baseline_files
    from streams.pipeline import Pipeline
    from streams.settings import load
    from streams.sources import source_at
    from streams.tune import DAY, tune
    from streams.tuned import document, length, settings_text

    raised = _raised(kinds, names)
    settings = load(config, {"networks": {"internal": list(internal)}} if internal else {})
    pipeline = Pipeline(settings)
    if baselines is not None:
        pipeline.watch.baselines = baseline_files.read(baselines)
    report = tune([source_at(place) for place in places], settings, pipeline, raised)
    if report.end - report.begin < DAY:
        click.echo(
            f"flowhawk: the input covers {length(report)}, less than a day: findings a day are extrapolated, and what "
            "comes at other hours is not in them",
            err=True,
        )
    if report.refused:
        click.echo(f"flowhawk: {report.refused:,} lines were refused; flowhawk parse names them", err=True)
    click.echo(document(report, per_day) if as_json else settings_text(report, per_day), nl=False)


def _raised(kinds: tuple[str, ...], names: tuple[str, ...]) -> "dict[str, tuple[Parameter, ...]]":
    """Find the parameters to vary."""
    from detectors.catalogue import cards
    from detectors.scaled import thresholds
    from streams.errors import did_you_mean

    known = cards()
    for kind in kinds:
        if kind not in known:
            raise click.BadParameter(f"{kind!r}{did_you_mean(kind, known)}", param_hint="--detector")
    chosen = {kind: known[kind] for kind in kinds or known}
    if not names:
        return {kind: thresholds(card) for kind, card in chosen.items()}
    there = {each.name for card in chosen.values() for each in thresholds(card)}
    for name in names:
        if name not in there:
            raise click.BadParameter(f"{name!r}{did_you_mean(name, there)}", param_hint="--parameter")
    varied = {kind: tuple(each for each in thresholds(card) if each.name in names) for kind, card in chosen.items()}
    return {kind: parameters for kind, parameters in varied.items() if parameters}
