"""The command `flowhawk`: finds its subcommands, and shows errors as one line."""

import os
import pkgutil
import sys
from importlib import import_module

import click

import streams.commands
from streams.allocation import keep_freed_memory, look_for_cycles_seldom
from streams.errors import FlowhawkError

_INTERRUPTED = 130


class _Commands(click.Group):
    """The modules of `streams.commands`, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(streams.commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"streams.commands.{cmd_name.replace('-', '_')}").command
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flowhawk", prog_name="flowhawk")
def command() -> None:
    """Find scans, exfiltration and rejected-traffic spikes in VPC flow logs.

    Data goes to standard output, messages to standard error. Exit status 0 is fine, 1 failed, 2 wrong usage.
    """


def main() -> None:
    """Run the command line; the entry point of the `flowhawk` script."""
    keep_freed_memory()
    look_for_cycles_seldom()
    try:
        status = command.main(prog_name="flowhawk", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("flowhawk: interrupted", err=True)
        status = _INTERRUPTED
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except FlowhawkError as error:
        for line in str(error).splitlines():
            click.echo(f"flowhawk: {line}", err=True)
        status = error.exit_code
    except BrokenPipeError:
        # Whoever read the output has left; say so to nobody, and keep Python from saying it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status if isinstance(status, int) else 0)
