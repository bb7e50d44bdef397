"""`flowhawk check-config`: whether settings make sense, before a service needs them."""

from pathlib import Path

import click


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="[FILE]", required=False)
def command(path: Path | None) -> None:
    """Check settings.

    Reads a FILE together with the environment, and says what differs from the defaults. Suppressions that have expired
    are named on standard error.
    """
    from datetime import UTC, datetime

    from streams.settings import keys, load
    from streams.tuning import expired

    settings = load(path)
    changed = [
        (key, value)
        for (key, default, _), (_, value, _) in zip(keys(), keys(defaults=settings), strict=True)
        if value != default
    ]
    click.echo(f"{path or 'environment'}: fine, {len(changed)} settings differ from their defaults")
    for key, value in changed:
        click.echo(f"  {key}: {_shown(value)}")
    for each in expired(settings, datetime.now(UTC)):
        since = f"{each.expires:%Y-%m-%dT%H:%MZ}"
        click.echo(f"flowhawk: suppression {each.name!r} of {each.owner} expired at {since}; take it out", err=True)


def _shown(value: object) -> object:
    """Write the objects of a list by what is set of them."""
    if not isinstance(value, tuple):
        return value
    return [
        each.model_dump(mode="json", exclude_defaults=True) if hasattr(each, "model_dump") else each for each in value
    ]
