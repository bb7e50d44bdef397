"""`flowhawk publish`: flow records into Kafka."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streams.kafka_settings import Topic
    from streams.publish import Publisher
    from streams.records import RecordSettings
    from streams.selection import Selection
    from streams.sources import Source

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
    help="Lines in a Kafka message; 0 sends blocks as the source cuts them, which is by far the fastest.",
)
@click.option("--dry-run", is_flag=True, help="Only read, and say what would be published; needs no Kafka.")
@click.pass_context
def command(
    context: click.Context,
    places: tuple[str, ...],
    config: Path | None,
    complete: bool,
    records_per_message: int,
    dry_run: bool,
) -> None:
    """Publish flow logs to Kafka.

    A SOURCE is a file (plain, gzip, zstd, Parquet); - is standard input. Several of them go out in the order of
    their event time, so that none makes the others late. Prints what was published to standard error.
    """
    import logging
    import signal
    import time

    from streams.publish import Publisher
    from streams.selection import Selection
    from streams.settings import load

    settings = load(config)
    # The client logs every attempt; what matters is in the error.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # Polars, once imported, lets Ctrl-C wait for the end of a read, which on a pipe may never come.
    signal.siginterrupt(signal.SIGINT, True)
    topic = settings.topics.flows
    selection = Selection(settings.selection, settings.records)
    if dry_run:
        context.exit(1 if _rehearse(places, settings.records, selection) else 0)
    with Publisher(settings.kafka, topic, records_per_message=records_per_message, select=selection.apply) as publisher:
        begin = time.monotonic()
        try:
            unreadable = _publish_all(publisher, places, settings.records)
            publisher.finish(complete=complete and not unreadable)
        except KeyboardInterrupt:
            publisher.finish()
            click.echo(f"interrupted; {_summary(publisher, topic, time.monotonic() - begin)}", err=True)
            context.exit(_INTERRUPTED)
    click.echo(_summary(publisher, topic, time.monotonic() - begin), err=True)
    if complete and unreadable:
        click.echo("the end of the input is not announced, since not all of it was read", err=True)
    context.exit(1 if unreadable else 0)


def _rehearse(places: tuple[str, ...], records: "RecordSettings", selection: "Selection") -> bool:
    """Read the sources, say what would be published, and whether anything cannot be read."""
    from streams.errors import InputError
    from streams.sources.merged import MergedSource

    sources, unreadable = _opened(places)
    lines = size = messages = 0
    try:
        for block in MergedSource(sources, records).blocks():
            chosen = selection.apply(block)
            if chosen is not None:
                lines, size, messages = lines + chosen.lines, size + len(chosen.value), messages + 1
    except InputError as error:
        click.echo(error, err=True)
        unreadable = True
    left = selection.left
    click.echo(
        f"would publish {lines:,} records, {size:,} bytes in {messages:,} blocks; dropped {left.dropped:,}, "
        f"sampled out {left.sampled_out:,}, not looked into {left.unselected:,}",
        err=True,
    )
    return unreadable


def _opened(places: tuple[str, ...]) -> "tuple[list[Source], bool]":
    """Open the sources, name those that cannot be, and say whether there were any."""
    from streams.errors import InputError
    from streams.sources import source_at

    sources: list[Source] = []
    unreadable = False
    for place in places:
        try:
            sources.append(source_at(place))
        except InputError as error:
            click.echo(error, err=True)
            unreadable = True
    return sources, unreadable


def _publish_all(publisher: "Publisher", places: tuple[str, ...], records: "RecordSettings") -> bool:
    """Publish the sources, name those that cannot be read to their end, and say whether there were any."""
    from streams.errors import InputError
    from streams.sources.merged import MergedSource

    sources, unreadable = _opened(places)
    try:
        publisher.publish(MergedSource(sources, records))
    except InputError as error:
        click.echo(error, err=True)
        unreadable = True
    return unreadable


def _summary(publisher: "Publisher", topic: "Topic", seconds: float) -> str:
    records, size, messages = publisher.published
    return (
        f"published {records:,} records, {size:,} bytes in {messages:,} messages to {topic.name} "
        f"in {seconds:.1f} s: {records / max(seconds, 1e-3):,.0f} records/s"
    )
