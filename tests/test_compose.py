import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import PurePosixPath
from pkgutil import iter_modules

import click
import pytest

import streams.sources
from streams.settings import DELIMITER, PREFIX, Settings, keys, load
from streams.sink_settings import sinks
from streams.sources.contract import Source
from tests.compose import IMAGES, ROOT, Instruction, Service, dockerfile, stack

SERVICES = stack().services
OWN = {name: service for name, service in SERVICES.items() if service.own}
THEIRS = {name: service for name, service in SERVICES.items() if not service.own}
DOCKERFILE = dockerfile()
FINAL = [each for each in DOCKERFILE if each.stage == DOCKERFILE[-1].stage]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def final(name: str) -> Instruction:
    """Return the one instruction of a name in the final stage, whose last one counts."""
    return [each for each in FINAL if each.name == name][-1]


def checker(*alternatives: list[str]) -> list[str]:
    """Return the first command that works here; without any, CI fails and others are told what was not checked."""
    for words in alternatives:
        if (
            shutil.which(words[0])
            and subprocess.run([*words, "version"], capture_output=True, check=False).returncode == 0
        ):
            return words
    reason = f"not checked, for none of these is installed: {', '.join(' '.join(words) for words in alternatives)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def settings_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    return load()


def command_lines() -> Mapping[str, list[str]]:
    """Return every command line of `flowhawk` in the two files, by where it stands."""
    composed = {f"docker-compose.yml {name}": service.command for name, service in OWN.items()}
    return composed | {"Dockerfile CMD": final("CMD").array, "Dockerfile HEALTHCHECK": final("HEALTHCHECK").array}


def test_compose_itself_accepts_the_file() -> None:
    compose = checker(["docker", "compose"], ["docker-compose"])
    arguments = ["--file", str(ROOT / "docker-compose.yml"), "--profile", "demo", "config", "--services"]
    answer = subprocess.run([*compose, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert set(answer.stdout.split()) == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only_and_something_listens_there(name: str) -> None:
    for port in SERVICES[name].ports:
        address, _, inside = port.split(":")
        assert address == "127.0.0.1"
        assert int(inside) in SERVICES[name].listens_on


def test_no_two_services_publish_one_port() -> None:
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.ports]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists(name: str) -> None:
    for source, _ in SERVICES[name].mounts:
        assert (ROOT / source).exists() if source.startswith("./") else source in stack().volumes


def test_no_volume_is_declared_in_vain() -> None:
    assert set(stack().volumes) == {
        source for service in SERVICES.values() for source, _ in service.mounts if not source.startswith("./")
    }


@pytest.mark.parametrize("name", THEIRS)
def test_mounts_go_where_the_image_reads_and_keeps_its_files(name: str) -> None:
    service = SERVICES[name]
    folders = IMAGES[service.image.split(":")[0]].folders
    for _, target in service.mounts:
        assert target in folders or str(PurePosixPath(target).parent) in folders


@pytest.mark.parametrize("name", THEIRS)
def test_paths_that_are_named_inside_an_image_exist_there(name: str) -> None:
    service = SERVICES[name]
    folders = IMAGES[service.image.split(":")[0]].folders
    words = [
        *service.command,
        *(service.healthcheck.test if service.healthcheck else []),
        *service.environment.values(),
    ]
    paths = [path for word in words for path in re.findall(r"(?<![\w:/.])(/(?:opt|var|etc)/[\w./-]+)", word)]
    for path in paths:
        mounted = [
            files / PurePosixPath(path).relative_to(at) for at, files in service.files.items() if path.startswith(at)
        ]
        assert path in folders or str(PurePosixPath(path).parent) in folders or mounted
        assert all(file.exists() for file in mounted)


@pytest.mark.parametrize("name", SERVICES)
def test_whoever_is_waited_for_can_be_waited_for(name: str) -> None:
    for other, dependency in SERVICES[name].depends_on.items():
        awaited = SERVICES[other]
        assert set(awaited.profiles) <= set(SERVICES[name].profiles)
        if dependency.condition == "service_healthy":
            assert awaited.healthcheck is not None or awaited.own
            assert awaited.healthcheck is None or (awaited.healthcheck.test and not awaited.healthcheck.disable)
        else:
            assert awaited.restart == "no"


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.restart != "no"])
def test_every_lasting_service_has_a_healthcheck(name: str) -> None:
    healthcheck = SERVICES[name].healthcheck
    assert healthcheck.test if healthcheck else SERVICES[name].own


@pytest.mark.parametrize("name", SERVICES)
def test_healthchecks_ask_a_port_that_the_service_listens_on(name: str) -> None:
    healthcheck = SERVICES[name].healthcheck
    asked = re.findall(r"(?:127\.0\.0\.1|localhost):(\d+)", " ".join(healthcheck.test)) if healthcheck else []
    assert {int(port) for port in asked} <= SERVICES[name].listens_on
    assert asked or SERVICES[name].own


@pytest.mark.parametrize("name", OWN)
def test_every_setting_in_the_environment_is_known_and_makes_sense(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {PREFIX + key.upper().replace(".", DELIMITER) for key, _, _ in keys()}
    inside = {f"{PREFIX}SINKS{DELIMITER}{sink}{DELIMITER}".upper() for sink in sinks()}
    unknown = set(OWN[name].environment) - known
    assert {each for each in unknown if not any(each.startswith(section) for section in inside)} == set()
    settings_of(OWN[name], monkeypatch)


@pytest.mark.parametrize("name", OWN)
def test_flowhawk_reaches_the_broker_where_the_broker_says_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(OWN[name], monkeypatch)
    advertised = re.findall(r"://([\w.]+:\d+)", SERVICES["kafka"].environment["KAFKA_ADVERTISED_LISTENERS"])
    assert set(settings.kafka.bootstrap_servers) <= set(advertised)
    assert {server.split(":")[0] for server in settings.kafka.bootstrap_servers} <= set(SERVICES)


def test_the_broker_is_advertised_to_the_host_where_it_is_published() -> None:
    kafka = SERVICES["kafka"]
    (published,) = kafka.ports
    _, outside, inside = published.split(":")
    assert outside == inside
    assert f"HOST://localhost:{outside}" in kafka.environment["KAFKA_ADVERTISED_LISTENERS"].split(",")


def test_the_metrics_can_be_reached_from_other_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(OWN["flowhawk"], monkeypatch)
    assert settings.http.host == "0.0.0.0"  # noqa: S104 - inside the network of the containers
    assert {settings.http.port} == OWN["flowhawk"].listens_on


def test_the_image_exposes_the_port_of_the_default_settings() -> None:
    assert final("EXPOSE").words == [str(Settings().http.port)]


def test_workers_can_be_scaled() -> None:
    # A fixed port on the host can be had by one container only; a container_name the model refuses.
    assert OWN["flowhawk"].ports == []


@pytest.mark.parametrize("name", OWN)
def test_flowhawk_runs_with_as_few_rights_as_it_can(name: str) -> None:
    service = OWN[name]
    assert service.read_only
    assert service.init
    assert service.cap_drop == ["ALL"]
    assert service.security_opt == ["no-new-privileges:true"]
    assert final("USER").text not in {"root", "0"}


@pytest.mark.parametrize("name", OWN)
def test_the_working_folder_can_be_written_to_under_a_read_only_root(name: str) -> None:
    options = dict(each.split(":") for each in OWN[name].tmpfs)
    assert set(options) == {"/tmp", final("WORKDIR").text}  # noqa: S108 - a path inside the container
    assert f"uid={final('USER').text}" in options[final("WORKDIR").text].split(",")


@pytest.mark.parametrize("where", command_lines())
def test_every_command_and_option_exists(where: str) -> None:
    name, *rest = (word for word in command_lines()[where] if word != "flowhawk")
    command: click.Command = import_module(f"streams.commands.{name.replace('-', '_')}").command
    while isinstance(command, click.Group):
        _, subcommand, rest = command.resolve_command(click.Context(command), list(rest))
        assert subcommand is not None
        command = subcommand
    command.make_context(name, list(rest)).close()


def test_the_demo_publishes_from_a_source_that_exists() -> None:
    for module in iter_modules(streams.sources.__path__):
        import_module(f"streams.sources.{module.name}")
    place = SERVICES["demo"].command[-1]
    kinds = [kind for kind in Source.__subclasses__() if kind.takes(place)]
    assert [type(kind.at(place)) for kind in kinds] == kinds != []


def test_the_image_starts_a_program_that_the_project_installs() -> None:
    assert final("ENTRYPOINT").array[0] in PROJECT["project"]["scripts"]
    assert final("HEALTHCHECK").array[0] == final("ENTRYPOINT").array[0]


def test_the_image_is_stopped_by_the_signal_that_ends_the_service_cleanly() -> None:
    assert final("STOPSIGNAL").text == "SIGTERM"


def test_what_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert "*" in sent
    copied = [
        source for each in DOCKERFILE if each.name == "COPY" and "--from" not in each.text for source in each.words[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists()
        assert f"!{source}" in sent


def test_the_image_holds_every_package() -> None:
    copied = {source for each in DOCKERFILE if each.name == "COPY" for source in each.words[:-1]}
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied
    assert {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]} <= copied


def test_the_image_takes_over_the_environment_that_was_built_and_finds_its_programs() -> None:
    made = [each.words[-1] for each in DOCKERFILE if each.name == "RUN" and "-m venv" in each.text]
    taken = [each.words[1:] for each in FINAL if each.name == "COPY"]
    assert taken == [[path, path] for path in made]  # a virtual environment cannot be moved
    assert final("ENV").text.startswith(f"PATH={made[0]}/bin:$PATH")


def test_the_image_installs_what_the_lock_file_says_and_nothing_else() -> None:
    installs = [each.words for each in DOCKERFILE if each.name == "RUN" and each.text.startswith("pip install")]
    assert installs
    for words in installs:
        assert {"--require-hashes", "requirements.lock"} <= set(words) or {"--no-deps", "--no-build-isolation"} <= set(
            words
        )


def test_both_stages_have_one_python_that_the_project_supports() -> None:
    images = {each.words[0] for each in DOCKERFILE if each.name == "FROM"}
    assert len(images) == 1
    version = re.findall(r"^python:3\.(\d+)-slim$", images.pop())
    least = re.findall(r"^>=3\.(\d+)$", PROJECT["project"]["requires-python"])
    assert int(version[0]) >= int(least[0])


def test_one_service_builds_the_image_and_the_others_use_it() -> None:
    assert {service.image for service in OWN.values()} == {"flowhawk:local"}
    assert [name for name, service in OWN.items() if service.build] == ["flowhawk"]
    assert {service.pull_policy for service in OWN.values()} == {"build", "never"}


def test_the_page_about_the_stack_names_only_addresses_that_are_published() -> None:
    page = (ROOT / "docs" / "how-to" / "run-with-docker-compose.md").read_text(encoding="utf-8")
    outside = [line for line in page.splitlines() if "docker compose exec" not in line]
    named = set(re.findall(r"localhost:(\d+)", "\n".join(outside)))
    assert named == {port.split(":")[1] for service in SERVICES.values() for port in service.ports}
