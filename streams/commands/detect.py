"""`flowhawk detect`: findings in files, with no Kafka."""

from pathlib import Path

import click


@click.command()
@click.argument("places", metavar="FILE...", nargs=-1, required=True)
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
@click.option("--internal", metavar="CIDR", multiple=True, help="One of your own networks; may be given repeatedly.")
def command(places: tuple[str, ...], config: Path | None, internal: tuple[str, ...]) -> None:
    """Print the findings in files as JSON lines.

    They are ordered by time, then id. Several files are merged by event time. Refused lines are named on standard
    error. - is standard input.
    """
    import signal

    from streams.detect import detect, last_states
    from streams.errors import InputError
    from streams.settings import load
    from streams.sources import source_at

    # Polars, once imported, lets Ctrl-C wait for the end of a read, which on a pipe may never come.
    signal.siginterrupt(signal.SIGINT, True)
    settings = load(config, {"networks": {"internal": list(internal)}} if internal else {})
    findings = []
    failure: InputError | None = None
    try:
        for outcome, blocks in detect([source_at(place) for place in places], settings):
            findings += outcome.findings
            for message, line, reason, _ in outcome.refused.rows():
                click.echo(f"{blocks[message].origin}:{blocks[message].line + line - 1}: {reason}", err=True)
    except InputError as error:
        failure = error
    for finding in last_states(findings):
        click.echo(finding.model_dump_json())
    if failure is not None:
        raise failure
