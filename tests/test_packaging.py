import ast
import hashlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
PACKAGES = ("streams", "detectors")
APACHE_2_0 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of https://www.apache.org/licenses/LICENSE-2.0.txt."""

FOR_OTHERS = {
    "crc32c": "checksums of kafka-python in C",
    "lz4": "codec of kafka-python",
}
"""Dependencies that no module imports, and why they are there."""


@cache
def project() -> Mapping[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def declared() -> dict[str, Requirement]:
    requirements = map(Requirement, project()["project"]["dependencies"])
    return {canonicalize_name(each.name): each for each in requirements}


def optional() -> dict[str, Requirement]:
    extras = project()["project"]["optional-dependencies"].values()
    return {canonicalize_name(each.name): each for extra in extras for each in map(Requirement, extra)}


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Return version and hashes of each requirement of a lock file, and fail on any line that is something else."""
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in read(name).replace("\\\n", " ").splitlines():
        pin, *hashes = re.split(r"\s+(?=--hash=)", entry.strip())
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([^\s;]+)(?: ; .+)?", pin)
        assert match is not None, f"{name}: {entry[:100]!r} is no pinned requirement"
        found[canonicalize_name(match[1])] = (match[2], hashes)
    return found


def imported() -> dict[str, Path]:
    """Return the top-level modules that the packages import from elsewhere, each with a file that does."""
    found: dict[str, Path] = {}
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                names = [node.module]
            found |= {name.partition(".")[0]: path.relative_to(ROOT) for name in names}
    return {name: path for name, path in found.items() if name not in {*PACKAGES, *sys.stdlib_module_names}}


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_requirement_has_a_version_and_hashes(name: str) -> None:
    requirements = locked(name)
    assert len(requirements) > 20
    for requirement, (_, hashes) in requirements.items():
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_lock_files_name_no_index(name: str) -> None:
    assert re.findall(r"://|--(?:extra-)?index-url|--find-links|--trusted-host", read(name)) == []


def test_the_lock_file_holds_every_dependency_in_an_allowed_version() -> None:
    requirements = locked("requirements.lock")
    for name, requirement in declared().items():
        assert name in requirements
        assert requirement.specifier.contains(requirements[name][0]), requirement


def test_the_development_tools_bring_the_same_versions_of_what_is_run() -> None:
    tools = locked("requirements-dev.lock")
    different = {
        name: (found, tools.get(name, ("none", []))[0])
        for name, (found, _) in locked("requirements.lock").items()
        if tools.get(name, ("none", []))[0] != found
    }
    assert different == {}


def test_every_import_is_a_declared_dependency() -> None:
    distributions = packages_distributions()
    missing = {
        name: str(path)
        for name, path in imported().items()
        if not {canonicalize_name(each) for each in distributions.get(name, ())} & {*declared(), *optional()}
    }
    assert missing == {}


def test_what_is_optional_is_tested_in_an_allowed_version() -> None:
    requirements = locked("requirements-dev.lock")
    assert [name for name, each in optional().items() if not each.specifier.contains(requirements[name][0])] == []


def test_nothing_needs_what_is_optional_to_be_imported() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    ]
    script = f"import sys; sys.modules.update(dict.fromkeys({sorted(optional())!r})); import {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_declared_dependency_is_imported_or_helps_one_that_is() -> None:
    distributions = packages_distributions()
    used = {canonicalize_name(each) for name in imported() for each in distributions.get(name, ())}
    assert {*declared(), *optional()} - used == set(FOR_OTHERS)


def test_the_changelog_begins_with_the_version_of_the_project() -> None:
    newest = re.search(r"^## \[([^\]]+)\] - (\S+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == project()["project"]["version"] == version("flowhawk")
    assert re.fullmatch(r"Unreleased|\d{4}-\d{2}-\d{2}", newest[2])


def test_every_change_in_the_changelog_says_what_kind_it_is() -> None:
    kinds = re.findall(r"^- (\[[A-Z]+\])?", read("CHANGELOG.md"), re.MULTILINE)
    assert kinds
    assert set(kinds) <= {"[CHANGE]", "[FEATURE]", "[ENHANCEMENT]", "[BUGFIX]", "[SECURITY]"}


def test_the_licence_is_apache_2_0() -> None:
    assert project()["project"]["license"] == "Apache-2.0"
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


def test_what_is_built_holds_both_packages_and_their_types() -> None:
    assert set(project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == set(PACKAGES)
    assert [package for package in PACKAGES if not (ROOT / package / "py.typed").exists()] == []
