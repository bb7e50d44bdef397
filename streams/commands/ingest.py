"""`flowhawk ingest`: several sources into Kafka, for as long as they last."""

from collections.abc import Callable
from pathlib import Path

import click


@click.command()
@click.argument("places", metavar="[SOURCE]...", nargs=-1)
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
@click.pass_context
def command(context: click.Context, places: tuple[str, ...], config: Path | None) -> None:
    """Publish sources to Kafka, each record exactly once.

    Reads the places in the setting `sources`, or those given here, all at once. What has been published is kept on a
    topic, so that after any end, a crash too, the next start goes on where this one stopped. Ends when all sources
    have, or on SIGINT or SIGTERM. Prints a summary in JSON.
    """
    import dataclasses
    import json
    import logging
    import signal
    import threading
    import time

    from streams.errors import SettingsError
    from streams.http import HttpEndpoints
    from streams.ingest import Ingest
    from streams.ingest_metrics import IngestMetrics
    from streams.opened import open_places
    from streams.positions import read_positions
    from streams.selection import Selection
    from streams.settings import load
    from streams.transactions import Transactions

    settings = load(config)
    chosen = places or settings.sources
    if not chosen:
        raise SettingsError("there is nothing to ingest; name places in the setting sources, or behind the command")
    # The client logs every attempt; what matters is in the error.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    begin = time.monotonic()
    stopped, stops = threading.Event(), list[Callable[[], None]]()

    def end(number: int, _: object) -> None:
        stopped.set()
        for stop in stops:
            stop()
        # Whoever asks twice means it.
        signal.signal(number, signal.SIG_DFL)

    # Connecting takes a while, and whoever asks meanwhile is no less polite.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)

    def report(line: str) -> None:
        click.echo(line, err=True)

    opened = open_places(chosen, settings, report)
    selection = Selection(settings.selection, settings.records)
    metrics = IngestMetrics(opened.sources, settings.records, failed=opened.failed)
    with (
        HttpEndpoints(settings.ingest.http, metrics, list, section="ingest.http"),
        Transactions(
            settings.kafka,
            settings.topics,
            settings.ingest.name,
            settings.records,
            compression=settings.blocks.compression,
        ) as transactions,
    ):
        positions = read_positions(settings.kafka, settings.topics.positions, settings.ingest.name)
        sources = list(opened.sources.values())
        ingest = Ingest(
            transactions,
            sources,
            positions,
            settings.ingest,
            selection,
            records=settings.records,
            report=report,
            stopped=stopped,
        )
        stops.append(ingest.stop)
        ingest.on_problem = metrics.problem
        ingest.on_commit = lambda last: metrics.committed(ingest.ingested, selection.left, last, time.time())
        ingested = ingest.run()
    ingested.problems += len(opened.failed)
    summary = (
        dataclasses.asdict(ingested)
        | dataclasses.asdict(selection.left)
        | {"seconds": round(time.monotonic() - begin, 3)}
    )
    click.echo(json.dumps(summary))
    context.exit(1 if ingested.problems else 0)
