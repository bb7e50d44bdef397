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

    exported = asyncio.run(stored_baselines.export(load(config)))
    pasts = baseline_files.write(file, exported.baselines)
    click.echo(f"{file}: {pasts} pasts of hosts", err=True)
    if exported.parts:
        said = "all equally far" if exported.is_level else "not all equally far: leave their number as it is for now"
        click.echo(f"{exported.parts} partitions of hosts, {said}", err=True)


@command.command(name="import")
@_CONFIG
@_FILE
def import_(config: Path | None, file: Path) -> None:
    """Let the service begin with the baselines in FILE.

    They replace what it has learned itself; windows and findings stay. It is refused while a worker runs. Where the
    number of partitions of hosts has changed, they are divided among those there are now, and windows begin anew.
    """
    import asyncio

    from streams import baseline_files, stored_baselines
    from streams.settings import load

    settings = load(config)
    baselines = baseline_files.read(file)
    imported = asyncio.run(stored_baselines.put(settings, baselines))
    if imported.parts:
        windows = "begin anew" if imported.is_new else "stay as they are"
        click.echo(f"divided among {imported.parts} partitions of hosts; windows {windows}", err=True)
    click.echo(f"{file}: {baselines.hosts} pasts of hosts; the next worker that starts has them", err=True)
