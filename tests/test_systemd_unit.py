"""The systemd unit: accepted by systemd itself, shut as tightly as it can be, and in step with the program."""

import re
import subprocess
from pathlib import Path

import yaml
from click.testing import CliRunner

from bridge.cli import main
from bridge.config.model import CallsConfig

UNIT = Path("deploy/systemd/trunkline.service")
COMPOSE = Path("deploy/compose/compose.yaml")
_COMMAND = "/opt/trunkline/bin/trunkline"
_MAX_EXPOSURE = 2.5
"""systemd's own measure, from 0 (shut) to 10 (open)."""


def analyze(*arguments: str | Path) -> str:
    """What systemd-analyze says, faults included."""
    command = ("systemd-analyze", "--no-pager", *map(str, arguments))
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def settings(name: str) -> list[str]:
    """All values that the unit gives to a setting."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    command = tmp_path / "trunkline"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(_COMMAND, str(command)))
    result = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in result.stderr.splitlines() if "trunkline.service" in line]
    assert not complaints


def test_the_service_can_do_little_besides_its_work() -> None:
    verdict = re.search(
        r"exposure level for trunkline\.service: (\d+\.\d+)", analyze("security", "--offline=true", UNIT)
    )
    assert verdict is not None
    assert float(verdict[1]) < _MAX_EXPOSURE


def test_every_command_of_the_unit_exists() -> None:
    reloads = settings("ExecReload")
    assert reloads[-1] == "kill -HUP $MAINPID"
    commands = [line.split() for line in [*settings("ExecStartPre"), *settings("ExecStart"), *reloads[:-1]]]
    assert [command[1] for command in commands] == ["check-config", "run", "check-config"]
    for command in commands:
        help_text = CliRunner().invoke(main, [command[1], "--help"])
        assert help_text.exit_code == 0
        assert "--config" in help_text.output


def test_systemd_waits_longer_than_calls_may_go_on() -> None:
    (limit,) = settings("TimeoutStopSec")
    assert int(limit) > CallsConfig().drain_timeout_s + 10


def test_the_homeserver_finds_the_service_when_it_starts() -> None:
    """As in the compose house: it remembers for an hour that nobody could look up a number."""
    assert settings("Before") == ["matrix-synapse.service"]
    assert settings("After") == ["network-online.target"]
    assert yaml.safe_load(COMPOSE.read_text())["services"]["synapse"]["depends_on"] == ["trunkline"]


def test_the_service_cannot_take_all_of_the_memory() -> None:
    assert settings("MemoryMax") == ["50%"]


def test_whoever_the_service_runs_as_may_read_its_configuration() -> None:
    """systemd gives a configuration directory to nobody but root: a user that it makes up could not read it."""
    assert settings("DynamicUser") == []
    (group,) = settings("Group")
    installs = [
        line for line in UNIT.read_text().splitlines() if line.startswith("#   install ") and "/etc/trunkline" in line
    ]
    assert len(installs) == 2
    assert all(f" -g {group} " in line for line in installs)
