"""From settings to what the detectors and the incidents go by."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from detectors.catalogue import cards
from detectors.contract import Parameters
from detectors.parameters import HostAddresses, Override, parameters_of
from detectors.suppression import AddressGroup, Policy, Suppression
from streams.settings import Settings
from streams.tuning_settings import SuppressionSettings

EVERYWHERE = ("0.0.0.0/0", "::/0")


def policy(settings: Settings) -> Policy:
    """Say what people are not told: what is suppressed, and what is only observed."""
    observed = frozenset(kind for kind, mode in settings.modes.items() if mode == "observe")
    return Policy(tuple(_suppression(each, settings) for each in settings.suppressions), observed)


def parameters(settings: Settings, addresses: HostAddresses) -> Mapping[str, Parameters]:
    """Return the values of the parameters of every detector that is not off, by kind."""
    overrides = [
        Override(
            (*each.networks, *_tagged(settings, each.tags)) or EVERYWHERE,
            each.detectors,
            each.scope,
        )
        for each in settings.overrides
    ]
    return {
        kind: parameters_of(card, settings.detectors.get(kind, {}), overrides, addresses)
        for kind, card in cards().items()
        if settings.modes.get(kind) != "off"
    }


def expired(settings: Settings, now: datetime) -> list[SuppressionSettings]:
    """List the suppressions that apply to nothing that happens from now on."""
    return [each for each in settings.suppressions if each.expires is not None and each.expires <= now]


def matched_kinds(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Say which kinds of findings each suppression may match, by its name."""
    return {each.name: each.kinds or tuple(cards()) for each in settings.suppressions}


def _suppression(given: SuppressionSettings, settings: Settings) -> Suppression:
    return Suppression(
        name=given.name,
        kinds=frozenset(given.kinds),
        sources=_group(given.sources),
        targets=_group(given.targets),
        entities=_group(_tagged(settings, given.tags)) if given.tags else None,
        ports=frozenset(given.ports),
        directions=frozenset(given.directions),
        scope=given.scope,
        expires=None if given.expires is None else int(given.expires.timestamp()),
    )


def _group(networks: Sequence[str]) -> AddressGroup | None:
    return AddressGroup(networks) if networks else None


def _tagged(settings: Settings, tags: Sequence[str]) -> list[str]:
    return [network for tag in tags for network in settings.tags[tag]]
