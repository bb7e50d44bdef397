"""`flowhawk baselines`: what is usual for hosts, out of the service and into it."""

from pathlib import Path

import click

_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment."
)
_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def command() -> None:
    """Take what was learned about hosts out of the service, or into it.

    A file of baselines outlives upgrades: later versions read those of earlier ones.
    """


@command.command(name="export")
@_CONFIG
@_FILE
def export_(config: Path | None, file: Path) -> None:
    """Write the baselines of the last checkpoint to FILE.

    The service may run meanwhile. Hours are exported whole: the last one of a host may be missing.
    """
    import asyncio

    from streams import baseline_files, stored_baselines
    from streams.settings import load

    pasts = baseline_files.write(file, asyncio.run(stored_baselines.export(load(config))))
    click.echo(f"{file}: {pasts} pasts of hosts", err=True)


@command.command(name="import")
@_CONFIG
@_FILE
def import_(config: Path | None, file: Path) -> None:
    """Let the service begin with the baselines in FILE.

    They replace what it has learned itself; windows and findings stay. It is refused while a worker runs.
    """
    import asyncio

    from streams import baseline_files, stored_baselines
    from streams.settings import load

    settings = load(config)
    baselines = baseline_files.read(file)
    asyncio.run(stored_baselines.put(settings, baselines))
    click.echo(f"{file}: {baselines.hosts} pasts of hosts; the next worker that starts has them", err=True)
