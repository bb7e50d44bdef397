"""What docker-compose.yml and the Dockerfile say, as typed values; a key that is not known here is a mistake."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

ROOT: Final = Path(__file__).parent.parent
Duration = Annotated[str, Field(pattern=r"^\d+(s|m)$")]


@dataclass(frozen=True)
class Image:
    """What the Dockerfile of somebody else's image declares: ports it listens on, folders it reads or keeps."""

    ports: frozenset[int]
    folders: frozenset[str]


IMAGES: Final = {
    "apache/kafka": Image(frozenset({9092}), frozenset({"/var/lib/kafka/data", "/opt/kafka/bin"})),
    "prom/prometheus": Image(frozenset({9090}), frozenset({"/etc/prometheus", "/prometheus"})),
    "prom/alertmanager": Image(frozenset({9093}), frozenset({"/etc/alertmanager", "/alertmanager"})),
    "grafana/grafana": Image(
        frozenset({3000}), frozenset({"/etc/grafana/provisioning", "/etc/grafana", "/var/lib/grafana"})
    ),
}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Healthcheck(Strict):
    test: list[str] = []
    interval: Duration = "30s"
    timeout: Duration = "30s"
    start_period: Duration = "0s"
    retries: int = 3
    disable: bool = False


class Dependency(Strict):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Logging(Strict):
    driver: Literal["local"]


class Service(Strict):
    image: Annotated[str, Field(pattern=r"^[a-z/]+:[\w.]+$")]
    build: str | None = None
    pull_policy: Literal["build", "never"] | None = None
    profiles: list[str] = []
    command: list[str] = []
    environment: dict[str, str] = {}
    ports: list[str] = []
    expose: list[str] = []
    volumes: list[str] = []
    tmpfs: list[str] = []
    depends_on: dict[str, Dependency] = {}
    healthcheck: Healthcheck | None = None
    restart: Literal["no", "unless-stopped"]
    init: bool = False
    read_only: bool = False
    cap_drop: list[Literal["ALL"]] = []
    security_opt: list[Literal["no-new-privileges:true"]] = []
    logging: Logging
    mem_limit: Annotated[str, Field(pattern=r"^\d+[mg]$")]
    stop_grace_period: Duration = "10s"

    @property
    def own(self) -> bool:
        """Whether it runs the image that the Dockerfile makes."""
        return self.image.split(":")[0] not in IMAGES

    @property
    def listens_on(self) -> set[int]:
        """Ports that something listens on inside the container."""
        if self.own:
            return {int(port) for port in self.expose}
        listeners = re.findall(r"://[^:,]*:(\d+)", self.environment.get("KAFKA_LISTENERS", ""))
        return {int(port) for port in listeners} or set(IMAGES[self.image.split(":")[0]].ports)

    @property
    def mounts(self) -> list[tuple[str, str]]:
        """Source and target of each volume."""
        return [(volume.split(":")[0], volume.split(":")[1]) for volume in self.volumes]

    @property
    def files(self) -> Mapping[str, Path]:
        """Folders of the repository that are mounted, by their path inside the container."""
        return {target: ROOT / source for source, target in self.mounts if source.startswith("./")}


class Stack(Strict):
    services: dict[str, Service]
    volumes: dict[str, None]


def stack() -> Stack:
    """Read docker-compose.yml."""
    document: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return Stack.model_validate({key: value for key, value in document.items() if not key.startswith("x-")})


@dataclass(frozen=True)
class Instruction:
    """One instruction of the Dockerfile, and which stage it stands in, counted from 0."""

    stage: int
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return self.text.split()

    @property
    def array(self) -> list[str]:
        """The words of an instruction that is written as a JSON array."""
        words: list[str] = json.loads(self.text[self.text.index("[") :])
        return words


def dockerfile() -> list[Instruction]:
    """Read the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    instructions = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    stages = [name == "FROM" for name, _ in instructions]
    return [Instruction(sum(stages[: index + 1]) - 1, name, text) for index, (name, text) in enumerate(instructions)]
