import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from detectors.discovery import implementations

CONTRACT = """
from abc import ABC, abstractmethod

class Contract(ABC):
    @abstractmethod
    def speak(self): ...

class Half(Contract):
    pass
"""
TWO = """
from {package}.contract import Contract

class Second(Contract):
    def speak(self): return "second"

class First(Second):
    pass
"""
IMPORTER = "from {package}.two import First, Second\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package with a contract, two implementations of it, and modules that only mention them."""
    name = "discovered"
    modules = {"__init__": "", "contract": CONTRACT, "two": TWO, "importer": IMPORTER, "below/__init__": TWO}
    for module, text in modules.items():
        path = tmp_path / name / f"{module}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(package=name))
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module(name)
    for module in [each for each in sys.modules if each.split(".")[0] == name]:
        del sys.modules[module]


def test_concrete_classes_are_found_once_in_the_module_that_defines_them(package: ModuleType) -> None:
    contract = import_module("discovered.contract").Contract
    assert [each.__qualname__ for each in implementations(package, contract)] == ["Second", "First"]


def test_a_package_without_implementations_has_none(package: ModuleType) -> None:
    class Other:
        pass

    assert implementations(package, Other) == ()
