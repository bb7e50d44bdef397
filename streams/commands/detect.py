"""`flowhawk detect`: findings in files, with no Kafka."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from detectors.finding import Finding
    from streams.errors import InputError
    from streams.pipeline import Pipeline
    from streams.settings import Settings

_FILE = click.Path(path_type=Path, dir_okay=False)

_LATE = "they end longer before a record further up in their file than time.allowed_lateness_seconds, and do not count"


@click.command()
@click.argument("places", metavar="FILE...", nargs=-1, required=True)
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
@click.option("--internal", metavar="CIDR", multiple=True, help="One of your own networks; may be given repeatedly.")
@click.option("--baselines", type=_FILE, help="What is usual for hosts, as exported before, to begin with.")
@click.option("--suppressed", is_flag=True, help="Print suppressed findings too; `suppressed_by` says by what.")
@click.option("--observed", is_flag=True, help="Print the findings of detectors that only observe, too.")
@click.option("--export-baselines", type=_FILE, help="Where to write what is usual for hosts, for another time.")
@click.option("--explain", metavar="ID", help="Tell every figure that led to one finding; its first characters do.")
@click.option("--json", "as_json", is_flag=True, help="With --explain: one JSON object, for programs.")
def command(
    *,
    places: tuple[str, ...],
    config: Path | None,
    internal: tuple[str, ...],
    baselines: Path | None,
    suppressed: bool,
    observed: bool,
    export_baselines: Path | None,
    explain: str | None,
    as_json: bool,
) -> None:
    """Print the findings in files as JSON lines.

    They are ordered by time, then id. Several files are merged by event time. Refused lines are named on standard
    error, and how many records came too late in their file to count. - is standard input. What is usual for hosts is
    learned from the files alone, unless --baselines says more; it is exported by whole hours, and only where every file
    could be read to its end.
    """
    import signal

    if as_json and explain is None:
        raise click.UsageError("--json goes with --explain; findings are JSON lines anyway")
    from streams.detect import last_states
    from streams.settings import load

    # Polars, once imported, lets Ctrl-C wait for the end of a read, which on a pipe may never come.
    signal.siginterrupt(signal.SIGINT, True)
    settings = load(config, {"networks": {"internal": list(internal)}} if internal else {})
    stages = partial(_stages, settings, baselines)
    if explain is not None:
        _explain(explain, places, stages, settings, as_json=as_json)
        return
    pipeline = stages()
    found = _found(places, settings, pipeline)
    for finding in last_states([*(found.suppressed if suppressed else []), *found.findings]):
        if observed or not finding.observed or finding.suppressed_by is not None:
            click.echo(finding.model_dump_json())
    if found.failure is not None:
        raise found.failure
    if export_baselines is not None:
        from streams import baseline_files

        baseline_files.write(export_baselines, pipeline.watch.baselines)


class _Found(NamedTuple):
    """Every state of the findings in files, of suppressed ones too, and why a file could not be read to its end."""

    findings: "list[Finding]"
    suppressed: "list[Finding]"
    failure: "InputError | None"


def _found(places: Sequence[str], settings: "Settings", pipeline: "Pipeline") -> _Found:
    """Run files through the stages, and name on standard error what does not count."""
    from streams.detect import detect
    from streams.errors import InputError
    from streams.sources import source_at

    findings: list[Finding] = []
    suppressed: list[Finding] = []
    failure: InputError | None = None
    late = 0
    try:
        for outcome, blocks in detect([source_at(place) for place in places], settings, pipeline):
            findings += outcome.findings
            suppressed += outcome.suppressed
            late += len(outcome.late)
            for message, line, reason, _ in outcome.refused.rows():
                click.echo(f"{blocks[message].origin}:{blocks[message].line + line - 1}: {reason}", err=True)
    except InputError as error:
        failure = error
    if late:
        click.echo(f"{late} records are late: {_LATE}", err=True)
    return _Found(findings, suppressed, failure)


def _stages(settings: "Settings", baselines: Path | None) -> "Pipeline":
    from streams.pipeline import Pipeline

    pipeline = Pipeline(settings)
    if baselines is not None:
        from streams import baseline_files

        pipeline.watch.baselines = baseline_files.read(baselines)
    return pipeline


def _explain(
    identifier: str, places: Sequence[str], stages: "Callable[[], Pipeline]", settings: "Settings", *, as_json: bool
) -> None:
    """Print what led to a finding."""
    from rich.console import Console

    from streams.explain import explain
    from streams.explained import show
    from streams.sources import source_at

    if "-" in places:
        raise click.UsageError("--explain reads everything more than once, which standard input does not allow")
    explanation = explain(identifier, lambda: [source_at(place) for place in places], stages, settings)
    if as_json:
        click.echo(explanation.model_dump_json(indent=2))
    else:
        show(explanation, Console(highlight=False))
