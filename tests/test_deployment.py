"""What is shipped for systemd and Kubernetes, held against the program that it runs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from configparser import RawConfigParser
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from docs import generate
from streams import cli
from streams.errors import FAILED, FlowhawkError, KafkaUnavailable, SettingsError
from streams.http import HttpEndpoints
from streams.http_settings import HttpSettings
from streams.metrics import Metrics
from streams.service import STOP_SECONDS
from streams.settings import PREFIX, keys, load
from tests.compose import ROOT, dockerfile
from tests.markdown import Fence, split
from tests.streams.programs import get

UNIT: Final = ROOT / "config" / "systemd" / "flowhawk.service"
DROP_INS: Final = sorted((ROOT / "config" / "systemd" / "flowhawk.service.d").glob("*.conf"))
MANIFESTS: Final = sorted((ROOT / "config" / "kubernetes").glob("*.yaml"))
FENCES: Final = [
    fence for page in (ROOT / "docs").rglob("*.md") for fence in split(page)[1] if fence.info == "yaml kubernetes"
]


class _Several(dict[str, Any]):
    """Joins what systemd lets be said several times."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self and isinstance(value, list):
            value = [*self[key], *value]
        super().__setitem__(key, value)


def unit(path: Path) -> Mapping[str, Mapping[str, str]]:
    parser = RawConfigParser(dict_type=_Several, strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd tells upper from lower case
    parser.read_string(path.read_text(encoding="utf-8"))
    return {name: dict(parser[name]) for name in parser.sections()}


def environment(section: Mapping[str, str]) -> Mapping[str, str]:
    return dict(each.split("=", 1) for each in section["Environment"].split())


def parsed(arguments: list[str]) -> click.Context:
    """Parse arguments of `flowhawk`, and run nothing."""
    root = click.Context(cli.command, info_name="flowhawk")
    command = cli.command.get_command(root, arguments[0])
    assert command is not None
    return command.make_context(arguments[0], arguments[1:], parent=root)


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed; on Debian: apt-get install systemd"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return str(found)


@pytest.fixture
def installed_unit(tmp_path: Path) -> Path:
    """Give the unit as it would be where Flowhawk is installed: here that is this environment."""
    text = UNIT.read_text(encoding="utf-8")
    own = str(Path(sys.executable).with_name("flowhawk"))
    path = tmp_path / UNIT.name
    path.write_text(text.replace("/opt/flowhawk/bin/flowhawk", own))
    folder = tmp_path / f"{UNIT.name}.d"
    folder.mkdir()
    for each in DROP_INS:
        shutil.copy(each, folder)
    return path


def test_systemd_understands_the_unit(installed_unit: Path) -> None:
    ran = subprocess.run(
        [program("systemd-analyze"), "verify", "--recursive-errors=no", str(installed_unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_systemd_finds_that_the_unit_is_well_locked_in(installed_unit: Path) -> None:
    ran = subprocess.run(
        [program("systemd-analyze"), "security", "--offline=yes", "--threshold=20", "--no-pager", str(installed_unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout[-500:] + ran.stderr


def test_the_unit_goes_by_what_the_service_does() -> None:
    service = unit(UNIT)["Service"]
    flowhawk, *arguments = service["ExecStart"].split()
    assert Path(flowhawk).name == "flowhawk"
    assert parsed(arguments).params["config"] == Path("/etc/flowhawk/flowhawk.yaml")
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["Type"] == "exec"
    assert float(service["TimeoutStopSec"]) > 10 > STOP_SECONDS
    prevented = {int(each) for each in service["RestartPreventExitStatus"].split()}
    assert (service["Restart"], prevented) == ("always", {SettingsError.exit_code})
    assert not prevented & {FAILED, FlowhawkError.exit_code, KafkaUnavailable.exit_code}
    assert unit(UNIT)["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize("path", [UNIT, *DROP_INS], ids=lambda path: path.name)
def test_settings_in_units_are_settings(path: Path) -> None:
    known = {PREFIX + key.upper().replace(".", "__") for key, _, _ in keys()}
    own = {name for name in environment(unit(path)["Service"]) if name.startswith(PREFIX)}
    assert own
    assert own <= known


def test_a_credential_is_where_the_setting_looks_for_it() -> None:
    for path in DROP_INS:
        service = unit(path)["Service"]
        name, _, file = service["LoadCredential"].partition(":")
        assert file.startswith("/etc/flowhawk/")
        assert [value for key, value in environment(service).items() if key.endswith("_FILE")] == [f"%d/{name}"]


def documents(kind: str) -> Iterator[Mapping[str, Any]]:
    for path in MANIFESTS:
        for each in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if each["kind"] == kind:
                yield each


def one(kind: str) -> Any:
    (found,) = documents(kind)
    return found


def container() -> Any:
    (found,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def mounted() -> Mapping[str, str]:
    return {each["name"]: each["mountPath"] for each in container()["volumeMounts"]}


def test_every_manifest_has_a_name_and_a_version() -> None:
    found = [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    assert {each["metadata"]["name"] for each in found} == {"flowhawk"}
    assert {(each["kind"], each["apiVersion"]) for each in found} == {
        ("ConfigMap", "v1"),
        ("Secret", "v1"),
        ("Deployment", "apps/v1"),
        ("NetworkPolicy", "networking.k8s.io/v1"),
        ("PodMonitor", "monitoring.coreos.com/v1"),
    }


def test_all_select_the_pods_that_there_are() -> None:
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        one("Deployment")["spec"]["selector"],
        one("NetworkPolicy")["spec"]["podSelector"],
        one("PodMonitor")["spec"]["selector"],
    ]
    assert [each["matchLabels"] for each in selectors] == [labels] * 3


def test_the_settings_in_the_manifest_load_and_are_read_from_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    ((file, text),) = one("ConfigMap")["data"].items()
    path = tmp_path / file
    path.write_text(text)
    settings = load(path)
    assert parsed(container()["args"]).params["config"] == Path(mounted()["settings"]) / file
    (port,) = container()["ports"]
    assert (settings.http.host, settings.http.port, port["name"]) == ("0.0.0.0", port["containerPort"], "metrics")  # noqa: S104 - asked for
    (secret,) = one("Secret")["stringData"]
    assert settings.kafka.sasl_password_file == Path(mounted()["secrets"]) / secret
    volumes = {each["name"]: each for each in one("Deployment")["spec"]["template"]["spec"]["volumes"]}
    assert volumes.keys() == mounted().keys()
    assert volumes["settings"]["configMap"]["name"] == volumes["secrets"]["secret"]["secretName"] == "flowhawk"


def test_what_probes_and_prometheus_ask_for_is_served() -> None:
    probes = [container()[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    (scraped,) = one("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert {each["port"] for each in (*probes, scraped)} == {"metrics"}
    with HttpEndpoints(HttpSettings(port=0), Metrics(), lambda: ["restoring"]) as endpoints:
        address = "127.0.0.1", int(endpoints.address.rpartition(":")[2])
        answers = [get(address, each["path"])[0] for each in (*probes, scraped)]
    assert answers == [200, 200, 503, 200]


def test_the_rules_find_their_job() -> None:
    (scraped,) = one("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert scraped["relabelings"] == [{"targetLabel": "job", "replacement": "flowhawk"}]
    assert 'job="flowhawk"' in (ROOT / generate.RULES).read_text(encoding="utf-8")


def test_the_pod_has_time_to_stop_and_only_one_reads() -> None:
    spec = one("Deployment")["spec"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 10 > STOP_SECONDS
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_pod_may_do_as_little_as_the_image_needs() -> None:
    pod, own = one("Deployment")["spec"]["template"]["spec"], container()["securityContext"]
    user = [each.text for each in dockerfile() if each.name == "USER"][-1]
    assert (pod["securityContext"]["runAsNonRoot"], str(pod["securityContext"]["runAsUser"])) == (True, user)
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert {"/tmp", "/var/lib/flowhawk"} <= set(mounted().values())  # noqa: S108 - what is mounted there is the pod's own


@pytest.mark.parametrize("fence", FENCES, ids=str)
def test_pieces_of_manifests_in_the_docs_are_yaml(fence: Fence) -> None:
    piece = yaml.safe_load(fence.text)
    assert isinstance(piece, dict)
    if "resources" in piece:
        assert piece["resources"] == container()["resources"]
    annotations = piece.get("metadata", {}).get("annotations", {})
    if annotations:
        (port,) = container()["ports"]
        assert (annotations["prometheus.io/port"], annotations["prometheus.io/path"]) == (
            str(port["containerPort"]),
            "/metrics",
        )
