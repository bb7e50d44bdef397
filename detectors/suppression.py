"""What is kept from people: findings that an operator expects, and those of detectors that only observe."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from detectors.addresses import network_of
from detectors.finding import Detection, Direction, Finding
from detectors.statistics.tables import EXAMPLES

Story = Detection | Finding


class AddressGroup:
    """Networks and single addresses, IPv4 and IPv6 alike, that tells of one written address whether it is inside.

    >>> inside = AddressGroup(["192.0.2.7", "2001:db8::/32"])
    >>> [text in inside for text in ("192.0.2.7", "192.0.2.8", "2001:db8::1", None, "the network")]
    [True, False, True, False, False]

    Raises
    ------
    ValueError
        When a text is neither an address nor a network, or has bits set behind its prefix.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [network_of(text) for text in networks]

    def __contains__(self, text: object) -> bool:
        try:
            address = ip_address(str(text))
        except ValueError:
            return False
        return any(address in each for each in self._networks)


@dataclass(frozen=True, slots=True)
class Suppression:
    """Findings that an operator expects. All that is given must match; what is not given matches anything.

    Attributes
    ----------
    name
        Its name.
    kinds, directions
        Kinds and directions of findings.
    sources, targets
        Where the acting address, and the one acted on, lie.
    entities
        Where the address lies that the finding is about.
    ports
        Ports that all ports of the finding are among. A finding that lists no port, or as many as are listed at
        most, so that there may be more, is not matched.
    scope
        Name space of the entity's address.
    expires
        Event time from which on it does not apply, epoch seconds.
    """

    name: str
    kinds: frozenset[str] = frozenset()
    sources: AddressGroup | None = None
    targets: AddressGroup | None = None
    entities: AddressGroup | None = None
    ports: frozenset[int] = frozenset()
    directions: frozenset[Direction] = frozenset()
    scope: str | None = None
    expires: int | None = None

    def applies(self, story: Story, *, portless: bool = False) -> bool:
        """Say whether it matches what was found, as far as is known by now; parameters as for `covers`."""
        return (not self.kinds or story.kind in self.kinds) and self.covers(story, portless=portless)

    def covers(self, story: Story, *, portless: bool = False) -> bool:
        """Say whether it matches what was found, whatever its kind.

        Parameters
        ----------
        story
            What was found.
        portless
            Whether a part of it has no port, though others have.
        """
        ends = (self.sources, story.source), (self.targets, story.target), (self.entities, story.entity)
        return (
            (self.expires is None or story.last_seen < self.expires)
            and (not self.directions or story.direction in self.directions)
            and (self.scope is None or story.scope == self.scope)
            and (not self.ports or (not portless and self._holds(story.ports)))
            and all(group is None or address in group for group, address in ends)
        )

    def _holds(self, ports: Sequence[int]) -> bool:
        return 0 < len(ports) < EXAMPLES and self.ports.issuperset(ports)


@dataclass(frozen=True)
class Policy:
    """What people are not told, though it was found.

    Attributes
    ----------
    suppressions
        The first one that applies to a finding keeps it back.
    observed
        Kinds of detectors that only observe: their findings are marked.
    """

    suppressions: Sequence[Suppression] = ()
    observed: frozenset[str] = frozenset()
    _named: Mapping[str, Suppression] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_named", {each.name: each for each in self.suppressions})

    def suppressed_by(self, story: Story, *, portless: bool = False) -> str | None:
        """Name the suppression that applies to what was found; None where none does."""
        return next((each.name for each in self.suppressions if each.applies(story, portless=portless)), None)

    def keeps(self, story: Story) -> bool:
        """Say whether people are not to be alerted of what was found."""
        return story.kind in self.observed or self.suppressed_by(story) is not None

    def marked(self, finding: Finding, *, portless: bool = False) -> Finding:
        """Mark a finding with what keeps it back, and whether its detector only observes."""
        by, observed = self.suppressed_by(finding, portless=portless), finding.kind in self.observed
        if (finding.suppressed_by, finding.observed) == (by, observed):
            return finding
        return finding.model_copy(update={"suppressed_by": by, "observed": observed})

    def takes_up(self, part: Story, *, suppressed_by: str | None, observed: bool, portless: bool = False) -> bool:
        """Say whether a bigger story may tell of its part: nothing is kept back that would not be by itself.

        Parameters
        ----------
        part
            What is part of a bigger story.
        suppressed_by, observed
            What keeps the bigger story back, and whether its detector only observes. A suppression of the bigger
            story holds for a part of another kind, as long as everything else about that matches.
        portless
            Whether a part of the part has no port, though others have.
        """
        if observed and part.kind not in self.observed:
            return False
        if suppressed_by is None:
            return True
        rule = self._named.get(suppressed_by)
        return rule is not None and rule.covers(part, portless=portless)


NOTHING_KEPT: Final = Policy()
"""Everything that is found is told."""
