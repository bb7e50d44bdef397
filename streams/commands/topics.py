"""`flowhawk topics`: the topics on the broker."""

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Look after the topics on the broker."""


@command.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
def create(config: Path | None) -> None:
    """Create the topics that are missing, and print one line a topic.

    Topics that exist stay as they are.
    """
    import logging

    from streams.settings import load
    from streams.topics import create_topics

    settings = load(config)
    # The client logs every attempt; what matters is in the error.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    create_topics(settings.kafka, settings.topics, report=click.echo, topology=settings.topology)
