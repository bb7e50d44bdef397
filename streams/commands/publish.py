"""`flowhawk publish`: flow records into Kafka."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streams.publishing import Outcome, Publishing

_INTERRUPTED = 130


@click.command()
@click.argument("places", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
@click.option(
    "--complete/--no-complete",
    help="Whether this is all there will ever be, so that every pane closes behind it. No by default.",
)
@click.option(
    "--records-per-message",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Lines in a Kafka message; 0 sends blocks as the settings say, which is by far the fastest.",
)
@click.option("--resume", is_flag=True, help="Leave out what an earlier run with --resume has sent, and remember this.")
@click.option("--follow", is_flag=True, help="Go on with files that grow, and with new ones; implies --resume.")
@click.option("--dry-run", is_flag=True, help="Only read, and say what would be published; needs no Kafka.")
@click.pass_context
def command(
    context: click.Context,
    *,
    places: tuple[str, ...],
    config: Path | None,
    complete: bool,
    records_per_message: int,
    resume: bool,
    follow: bool,
    dry_run: bool,
) -> None:
    """Publish flow logs to Kafka.

    A SOURCE is a file (plain, gzip, zstd, Parquet), a pattern, a folder with all below it, or whatever the reference of
    sources lists; - is standard input. Several of them go out in the order of their event time, so that none makes the
    others late. Shows its progress on a terminal, and prints a summary: a line for people to standard error, and a JSON
    object to standard output.
    """
    import json
    import logging
    import signal
    import time

    from streams.publishing import Publishing
    from streams.settings import load

    if complete and (resume or follow):
        raise click.UsageError("--complete goes neither with --resume nor with --follow")
    settings = load(config)
    # The client logs every attempt; what matters is in the error.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # Polars, once imported, lets Ctrl-C wait for the end of a read, which on a pipe may never come.
    signal.siginterrupt(signal.SIGINT, True)
    publishing = Publishing(
        settings,
        places,
        lambda line: click.echo(line, err=True),
        follow=follow,
        records_per_message=records_per_message,
    )
    begin = time.monotonic()
    if dry_run:
        outcome = publishing.rehearse()
    elif resume or follow:
        outcome = _resumed(publishing)
    else:
        outcome = publishing.publish(complete=complete)
    seconds = time.monotonic() - begin
    click.echo(_line(publishing, outcome, settings.topics.flows.name, seconds, dry_run=dry_run), err=True)
    if complete and outcome.problems:
        click.echo("the end of the input is not announced, since not all of it was read", err=True)
    click.echo(json.dumps(publishing.summary(outcome, seconds)))
    context.exit(_INTERRUPTED if outcome.interrupted else 1 if outcome.problems else 0)


def _resumed(publishing: "Publishing") -> "Outcome":
    """Publish until the end, or until a signal asks for it."""
    import signal

    def end(number: int, _: object) -> None:
        publishing.stop()
        # Whoever asks twice means it.
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return publishing.resume()


def _line(publishing: "Publishing", outcome: "Outcome", topic: str, seconds: float, *, dry_run: bool) -> str:
    if dry_run:
        left = publishing.selection.left
        return (
            f"would publish {outcome.records:,} records, {outcome.bytes:,} bytes in {outcome.messages:,} blocks; "
            f"dropped {left.dropped:,}, sampled out {left.sampled_out:,}, not looked into {left.unselected:,}"
        )
    rate = outcome.records / max(seconds, 1e-3)
    begin = "interrupted; " if outcome.interrupted else ""
    return (
        f"{begin}published {outcome.records:,} records, {outcome.bytes:,} bytes "
        f"in {outcome.messages:,} messages to {topic} in {seconds:.1f} s: {rate:,.0f} records/s"
    )
