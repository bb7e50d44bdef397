"""Finding every implementation of a contract, so that adding one is adding its module and nothing else."""

import pkgutil
from importlib import import_module
from inspect import isabstract
from types import ModuleType
from typing import TypeVar

Contract = TypeVar("Contract")


def implementations(package: ModuleType, contract: type[Contract]) -> tuple[type[Contract], ...]:
    """Import the modules of a package and return the classes in them that fulfil a contract.

    Parameters
    ----------
    package
        The package whose modules, but not those of its subpackages, are looked through.
    contract
        An abstract base class.

    Returns
    -------
    tuple of type
        Concrete subclasses defined in the package's modules, by module, then in their order of definition.
    """
    found: list[type[Contract]] = []
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if info.ispkg:
            continue
        module = import_module(f"{package.__name__}.{info.name}")
        found += [
            each
            for each in vars(module).values()
            if isinstance(each, type)
            and issubclass(each, contract)
            and not isabstract(each)
            and each.__module__ == module.__name__
        ]
    return tuple(found)
