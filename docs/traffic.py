"""What in docs/how-to/generate-traffic.md follows from the episodes."""  # noqa: INP001 - a folder of pages, not a package

from docs.markdown import table
from streams.generate.chosen import known
from streams.generate.episode import Episode


def attacks_part() -> str:
    """Write a table of the attacks that can be generated, and one of what only looks like one."""
    head = ("name", "finding", "what happens", "parameters and defaults")
    parts: list[str] = []
    for expect in (True, False):
        episodes = [
            (f"`{name}`", f"`{each.kind}`", (each.__doc__ or "").split("\n", maxsplit=1)[0], _own_parameters(each))
            for name, each in known(expect=expect).items()
        ]
        parts.append(f"{'Attacks' if expect else 'What only looks like one'}:\n\n{table(head, episodes)}")
    meanings: dict[str, str] = {}
    for each in (*known(expect=True).values(), *known(expect=False).values()):
        for name, declared in each.parameters().items():
            meanings.setdefault(name, declared.metadata["meaning"])
    rows = [(f"`{name}`", meaning) for name, meaning in sorted(meanings.items())]
    return "\n\n".join([*parts, f"What the parameters mean:\n\n{table(('parameter', 'meaning'), rows)}"])


def _own_parameters(episode: type[Episode]) -> str:
    shared = {"hour", "every", "ipv6", "label"}
    values = {name: getattr(episode, name) for name in episode.parameters()}
    shown = {name: value for name, value in values.items() if name not in shared or value != getattr(Episode, name)}
    return ", ".join(f"`{name}={value}`" for name, value in shown.items())
