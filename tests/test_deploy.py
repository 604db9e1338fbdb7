"""What an operator copies out of `deploy/`: read by the tools that would read it, as far as they can be had here."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config import Config, load_config

DEPLOY = Path("deploy")
COMPOSE = DEPLOY / "compose" / "compose.yaml"
OPERATING = DEPLOY / "operating.md"
CONTAINERFILES = sorted(DEPLOY.glob("container/*Containerfile"))
_PINNED = re.compile(r"[\w./-]+:(?:v?\d+(?:\.\d+)+)(?:-[\w.-]+)?\Z")
"""A registry's name, and a version with a dot in it: neither `latest` nor `3`."""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def output_of(*command: str | Path) -> str:
    """What a program says, if it ends well."""
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def house(directory: Path) -> Config:
    """The configuration of Trunkline there, with tokens, and a volume that exists."""
    written = (COMPOSE.parent / "trunkline" / "trunkline.yaml").read_text()
    file = directory / "trunkline.yaml"
    file.write_text(written.replace("/data/", f"{directory}/"))
    for name in ("as_token", "hs_token"):
        (directory / name).write_text(f"{name}-0123456789abcdef")
    return load_config(file, {})


def instructions(file: Path) -> list[tuple[str, str]]:
    """Of a Containerfile: each with its arguments, lines put together."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.MULTILINE)).splitlines()
    return [(word, rest.strip()) for line in lines if line.strip() for word, _, rest in [line.partition(" ")]]


def test_the_house_has_all_its_parts() -> None:
    assert set(services()) == {"synapse", "trunkline", "coturn", "kamailio", "rtpengine", "prometheus", "grafana"}


@pytest.mark.parametrize("name", sorted(services()))
def test_each_container_is_shut_and_of_a_known_version(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert _PINNED.match(service["image"]), service["image"]


def test_no_container_runs_as_root() -> None:
    """By the compose file, or by the last stage that its image is built from."""
    for name, service in services().items():
        user = service.get("user")
        if user is None:
            build = service["build"]
            file = COMPOSE.parent / build["context"] / build["dockerfile"]
            user = user_of(file, build.get("target", ""))
        assert user.partition(":")[0] not in ("", "0", "root"), name


def user_of(file: Path, target: str) -> str:
    user, stage = "", ""
    for word, rest in instructions(file):
        if word == "FROM":
            stage = rest.partition(" AS ")[2]
        elif word == "USER" and stage == target:
            user = rest
    return user


def test_calls_have_time_to_end_before_the_container_does(tmp_path: Path) -> None:
    config = house(tmp_path)
    assert float(services()["trunkline"]["stop_grace_period"].removesuffix("s")) > config.calls.drain_timeout_s


def test_what_is_mounted_from_the_repository_is_there() -> None:
    made_by_hand = {"./synapse"}
    for service in services().values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith(".") and source not in made_by_hand:
                assert (COMPOSE.parent / source).exists(), source


def test_every_variable_is_in_the_example() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    given = set(re.findall(r"^(\w+)=", (COMPOSE.parent / "env.example").read_text(), re.MULTILINE))
    assert wanted == given


def test_the_parts_know_each_other(tmp_path: Path) -> None:
    """Ports that one file names stand in the other as well."""
    config = house(tmp_path)
    kamailio = (DEPLOY / "compose" / "kamailio" / "kamailio.cfg").read_text()
    trunk = config.trunks[next(iter(config.trunks))]
    assert f"listen=udp:{trunk.server.host}:{trunk.server.port}" in kamailio
    assert f'$du = "sip:127.0.0.1:{config.sip.listen[0].port}"' in kamailio
    server = config.media.rtpengine[0]
    assert f"--listen-ng={server.host}:{server.port}" in services()["rtpengine"]["command"]
    scraped = yaml.safe_load((COMPOSE.parent / "prometheus.yml").read_text())["scrape_configs"][0]["static_configs"]
    assert scraped == [{"targets": [f"{config.ops.listen.host}:{config.ops.listen.port}"]}]
    assert f"http://127.0.0.1:{config.ops.listen.port}/livez" in CONTAINERFILES[0].read_text()


@pytest.mark.parametrize("file", CONTAINERFILES, ids=lambda file: file.name)
def test_images_are_built_from_pinned_ones_and_what_exists(file: Path) -> None:
    stages = {rest.partition(" AS ")[2] for word, rest in instructions(file) if word == "FROM"}
    for word, rest in instructions(file):
        if word == "FROM":
            assert _PINNED.match(rest.partition(" ")[0]), rest
        if word == "COPY":
            *sources, _ = [part for part in rest.split() if not part.startswith("--")]
            origin = re.match(r"--from=(\S+)", rest)
            assert origin[1] in stages if origin else all(Path(source).exists() for source in sources), rest


def test_the_packet_path_needs_no_newer_rust_than_the_image_has() -> None:
    """A chain of conditions with `let` is of Rust 1.88; Debian 13, and so the image, has 1.85."""
    for file in Path("bridge/media/native/src").rglob("*.rs"):
        assert not re.search(r"&&\s+let\s", file.read_text()), file


@needs("kamailio")
def test_kamailio_takes_its_configuration(tmp_path: Path) -> None:
    file = (DEPLOY / "compose" / "kamailio" / "kamailio.cfg").resolve()
    said = output_of("kamailio", "-c", "-E", "-A", "ADDRESS=127.0.0.2", "-Y", tmp_path, "-f", file)
    assert "config file ok" in said


def test_phones_are_known_by_their_bare_numbers() -> None:
    """Kamailio takes quotes for a part of the name, and then no phone can register."""
    users = (DEPLOY / "compose" / "kamailio" / "users.cfg").read_text()
    lines = [line for line in users.splitlines() if not line.startswith("#")]
    assert lines
    assert all(re.fullmatch(r'\$sht\(pw=>\w+\)="[^"]+";', line) for line in lines)


@needs("promtool")
def test_prometheus_takes_its_configuration() -> None:
    output_of("promtool", "check", "config", "--syntax-only", COMPOSE.parent / "prometheus.yml")


@needs("promtool")
def test_prometheus_takes_the_alertmanager_that_operators_are_told_to_add(tmp_path: Path) -> None:
    block = re.search(r"^  ```yaml\n(  alerting:.*?)^  ```$", OPERATING.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    file = tmp_path / "prometheus.yml"
    file.write_text((COMPOSE.parent / "prometheus.yml").read_text() + textwrap.dedent(block[1]))
    output_of("promtool", "check", "config", "--syntax-only", file)


@pytest.mark.parametrize("file", CONTAINERFILES, ids=lambda file: file.name)
def test_hadolint_has_no_warnings(file: Path) -> None:
    output_of(Path(sys.executable).with_name("hadolint"), "--failure-threshold", "warning", file)
