"""`flowhawk run`: the service, against a real Kafka."""

from pathlib import Path

import click


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
def command(config: Path | None) -> None:
    """Run the service against Kafka.

    Reads flows, looks for attacks and publishes findings, until told to stop. On SIGHUP it reads the settings again.
    """
    import asyncio

    from streams.log import configure
    from streams.running import run
    from streams.settings import load

    settings = load(config)
    limit = configure(settings.log)
    asyncio.run(run(settings, lambda: load(config), limit))
