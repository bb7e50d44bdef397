"""`flowhawk up`: everything in one process."""

import sys
from contextlib import suppress
from pathlib import Path

import click

_INTERRUPTED = 130


@click.command()
@click.argument("places", metavar="[FILE]...", nargs=-1)
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
@click.option("--internal", metavar="CIDR", multiple=True, help="One of your own networks; may be given repeatedly.")
@click.option(
    "--findings",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("var/findings.jsonl"),
    show_default=True,
    help="File for the findings, as JSON lines.",
)
@click.option("--stay", is_flag=True, help="Keep the service and its metrics up until Ctrl-C.")
@click.pass_context
def command(
    context: click.Context,
    places: tuple[str, ...],
    config: Path | None,
    internal: tuple[str, ...],
    findings: Path,
    stay: bool,
) -> None:
    """Run everything in one process.

    Runs on FILEs, or on an hour of generated traffic with attacks in it. Needs neither Kafka nor Docker: an
    embedded broker, the service and the publisher share this process. Findings are printed as they are raised.
    """
    import asyncio

    from rich.console import Console

    from streams.generate.network import INTERNAL_IPV6
    from streams.log import configure
    from streams.settings import load
    from streams.sources import source_at
    from streams.up import Up, raise_failures

    generated = not places
    overrides = {"networks": {"internal": list(internal)}} if internal else {}
    settings = load(config, overrides)
    configure(settings.log.model_copy(update={"level": "warning"}))
    if generated and not internal:
        networks = settings.networks.model_copy(update={"internal": (*settings.networks.internal, INTERNAL_IPV6)})
        settings = settings.model_copy(update={"networks": networks})
    sources = [source_at(place) for place in places or ("generate://",)]
    messages = Console(stderr=True)
    # One console for both keeps the progress display below the findings on a terminal.
    output = messages if sys.stdout.isatty() and sys.stderr.isatty() else Console(soft_wrap=True)
    if generated:
        messages.print("an hour of generated traffic with attacks in it; give files to run on your own", style="dim")
    # Where this is not possible, the sink says so.
    with suppress(OSError):
        findings.unlink(missing_ok=True)
    summary = asyncio.run(Up(settings, sources, findings, output, messages).run(stay=stay))
    if summary.interrupted:
        context.exit(_INTERRUPTED)
    raise_failures(summary)
