"""`flowhawk test`: an operator's own cases, for their CI."""

from pathlib import Path

import click


@click.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_context
def command(ctx: click.Context, paths: tuple[Path, ...]) -> None:
    """Run cases of your own: flows in, findings expected or forbidden.

    Prints a line for each case, ok or FAILED, and what is wrong on standard error. Exit status 1 when a case failed, 2
    when a FILE holds what is no case.
    """
    from streams.cases import read, run

    failed = False
    for path, cases in [(path, read(path)) for path in paths]:
        for case, wrong in run(path, cases):
            failed |= bool(wrong)
            click.echo(f"{'FAILED' if wrong else 'ok':<6} {path}: {case.name}")
            for each in wrong:
                click.echo(f"flowhawk: {path}: {case.name}: {each}", err=True)
    ctx.exit(int(failed))
