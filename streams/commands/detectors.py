"""`flowhawk detectors`: what is looked for, and how sharply."""

import click


@click.command()
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """List the detectors, or show the card of one KIND."""
    from detectors.catalogue import cards

    known = cards()
    if kind is None:
        for card in known.values():
            click.echo(f"{card.kind:20} {card.sees}")
        return
    if kind not in known:
        raise click.BadParameter(f"{kind!r}; there are {', '.join(known)}", param_hint="KIND")
    card = known[kind]
    click.echo(f"{card.title} ({card.kind}, version {card.version})\n\n{card.sees}\n")
    click.echo(f"About: the {card.entity}. ATT&CK: {', '.join(card.mitre)}.")
    click.echo(f"Severity at the threshold: {card.severity}; {card.severity_inside} when one's own host acts.\n")
    for parameter in card.parameters:
        mark = " (threshold)" if parameter.threshold else ""
        click.echo(f"detectors.{card.kind}.{parameter.name}: {parameter.default:g} {parameter.unit}{mark}")
        click.echo(f"    {parameter.meaning} {parameter.reason}")
    click.echo("\nMay be mistaken for it:")
    for each in card.false_positives:
        click.echo(f"  - {each}")
    click.echo(f"\n{card.response}")
