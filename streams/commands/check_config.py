"""`flowhawk check-config`: whether settings make sense, before a service needs them."""

from pathlib import Path

import click


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="[FILE]", required=False)
def command(path: Path | None) -> None:
    """Check settings.

    Reads a FILE together with the environment, and says what differs from the defaults.
    """
    from streams.settings import keys, load

    settings = load(path)
    changed = [
        (key, value)
        for (key, default, _), (_, value, _) in zip(keys(), keys(defaults=settings), strict=True)
        if value != default
    ]
    click.echo(f"{path or 'environment'}: fine, {len(changed)} settings differ from their defaults")
    for key, value in changed:
        click.echo(f"  {key}: {value}")
