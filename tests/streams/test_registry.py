import pytest

from streams.declared_metrics import DECLARED
from streams.registry import Registry

BUILD = "flowhawk_build_info"


@pytest.fixture
def registry() -> Registry:
    return Registry(
        {
            BUILD: DECLARED[BUILD],
            "some_total": ("counter", "So many.", ("place",)),
            "some_level": ("gauge", "So much.", ()),
            "some_seconds": ("histogram", "So long.", ("place",)),
        }
    )


def test_metrics_are_as_they_are_declared(registry: Registry) -> None:
    shown = {family.name: (family.type, family.documentation) for family in registry.registry.collect()}
    assert shown["some"] == ("counter", "So many.")
    assert shown["some_level"] == ("gauge", "So much.")
    assert shown["some_seconds"] == ("histogram", "So long.")
    assert {"python_info", "process_start_time_seconds", BUILD} <= shown.keys()


def test_they_are_told_by_their_names_and_labels(registry: Registry) -> None:
    registry.add("some_total", 2, "a")
    registry.add("some_total", 0, "b")
    registry.put("some_level", 7)
    registry.timing("some_seconds", "a").observe(0.5)
    assert registry.value("some_total", {"place": "a"}) == 2
    assert registry.registry.get_sample_value("some_total", {"place": "b"}) == 0
    assert registry.value("some_level") == 7
    assert registry.value("some_seconds_sum", {"place": "a"}) == 0.5
    registry.forget("some_total", "a")
    assert registry.registry.get_sample_value("some_total", {"place": "a"}) is None


def test_each_kind_has_its_own_verbs(registry: Registry) -> None:
    with pytest.raises(AssertionError):
        registry.put("some_total", 1, "a")
    with pytest.raises(AssertionError):
        registry.add("some_level", 1)
