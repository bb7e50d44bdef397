"""`flowhawk detect`: findings in files, with no Kafka."""

from pathlib import Path

import click

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("places", metavar="FILE...", nargs=-1, required=True)
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
@click.option("--internal", metavar="CIDR", multiple=True, help="One of your own networks; may be given repeatedly.")
@click.option("--baselines", type=_FILE, help="What is usual for hosts, as exported before, to begin with.")
@click.option("--export-baselines", type=_FILE, help="Where to write what is usual for hosts, for another time.")
def command(
    places: tuple[str, ...],
    config: Path | None,
    internal: tuple[str, ...],
    baselines: Path | None,
    export_baselines: Path | None,
) -> None:
    """Print the findings in files as JSON lines.

    They are ordered by time, then id. Several files are merged by event time. Refused lines are named on standard
    error. - is standard input. What is usual for hosts is learned from the files alone, unless --baselines says more;
    it is exported by whole hours, and only where every file could be read to its end.
    """
    import signal

    from streams.detect import detect, last_states
    from streams.errors import InputError
    from streams.pipeline import Pipeline
    from streams.settings import load
    from streams.sources import source_at

    # Polars, once imported, lets Ctrl-C wait for the end of a read, which on a pipe may never come.
    signal.siginterrupt(signal.SIGINT, True)
    settings = load(config, {"networks": {"internal": list(internal)}} if internal else {})
    pipeline = Pipeline(settings)
    if baselines is not None:
        from streams import baseline_files

        pipeline.watch.baselines = baseline_files.read(baselines)
    findings = []
    failure: InputError | None = None
    try:
        for outcome, blocks in detect([source_at(place) for place in places], settings, pipeline):
            findings += outcome.findings
            for message, line, reason, _ in outcome.refused.rows():
                click.echo(f"{blocks[message].origin}:{blocks[message].line + line - 1}: {reason}", err=True)
    except InputError as error:
        failure = error
    for finding in last_states(findings):
        click.echo(finding.model_dump_json())
    if failure is not None:
        raise failure
    if export_baselines is not None:
        from streams import baseline_files

        baseline_files.write(export_baselines, pipeline.watch.baselines)
