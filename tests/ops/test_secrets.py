"""No secret of the configuration is printed: not by the commands, not in logs, not by a dataclass that is shown."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import bridge
from tests.e2e.running_bridge import COMMAND
from tests.patience import PATIENCE_S
from tests.peers.process import LOOPBACK, free_port

AS_TOKEN = "astoken-7d1f0c55e1a94b0e"
HS_TOKEN = "hstoken-93b2e5c0aa1f4d77"
PASSWORD = "pass-4c1b9e3d"
WRONG_PORT = "99999"
OF_ONE_CALL = {("bridge.media.sdp_matrix", "password"), ("bridge.sip.uri", "password")}
"""ICE passwords, which stand in a description beside them, and what a stranger writes into a URI."""


def configuration(directory: Path, *, ops: str, homeserver_port: int) -> Path:
    """A file with a secret of each kind in each place."""
    (directory / "hs_token").write_text(HS_TOKEN)
    document = {
        "homeserver": {"url": f"http://{LOOPBACK}:{homeserver_port}", "server_name": "example.org"},
        "appservice": {"listen": f"{LOOPBACK}:{free_port()}", "as_token": AS_TOKEN, "hs_token_file": "hs_token"},
        "sip": {"listen": [f"udp:{LOOPBACK}:{free_port()}"]},
        "trunks": {
            "carrier": {
                "server": f"{LOOPBACK}:{free_port()}",
                "auth": "register",
                "username": "alice",
                "password": PASSWORD,
            }
        },
        "media": {"webrtc_hosts": [LOOPBACK]},
        "ops": {"listen": ops},
        "logging": {"level": "debug"},
    }
    file = directory / "trunkline.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def output_of(command: str, config: Path) -> str:
    """All that a command prints before it fails."""
    done = subprocess.run(
        [COMMAND, command, "--config", config], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1, done.stderr
    return done.stdout + done.stderr


def secrets_in(text: str) -> list[str]:
    return [secret for secret in (AS_TOKEN, HS_TOKEN, PASSWORD) if secret in text]


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_a_wrong_port_is_explained_without_secrets(tmp_path: Path, command: str) -> None:
    config = configuration(tmp_path, ops=f"{LOOPBACK}:{WRONG_PORT}", homeserver_port=free_port())
    output = output_of(command, config)
    assert "ops.listen: expected a port from 0 to 65535" in output
    assert secrets_in(output) == []


def test_a_port_that_is_taken_is_explained_without_secrets(tmp_path: Path) -> None:
    """Everything has started by then: the registrar and the homeserver have been asked, and did not answer."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        output = output_of("run", configuration(tmp_path, ops=f"{LOOPBACK}:{port}", homeserver_port=free_port()))
    assert f"ops.listen: cannot listen on {LOOPBACK}:{port}: another program has that port: end it" in output
    assert "media_engine_started" in output
    assert secrets_in(output) == []


@pytest.mark.parametrize(("section", "before"), [("appservice", ""), ("sip", "udp:")])
def test_the_setting_of_a_port_that_is_taken_is_named(tmp_path: Path, section: str, before: str) -> None:
    file = configuration(tmp_path, ops=f"{LOOPBACK}:{free_port()}", homeserver_port=free_port())
    kind = socket.SOCK_DGRAM if before else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((LOOPBACK, 0))
        address = f"{before}{LOOPBACK}:{taken.getsockname()[1]}"
        document = yaml.safe_load(file.read_text())
        document[section]["listen"] = [address] if before else address
        file.write_text(yaml.safe_dump(document))
        output = output_of("run", file)
    assert f"Error: {section}.listen: cannot listen on {address}: another program has that port" in output
    assert "Traceback" not in output


def dataclasses_of_the_code() -> Iterator[type]:
    for module_info in pkgutil.walk_packages(bridge.__path__, "bridge."):
        if ".migrations." in module_info.name:
            continue  # they run when they are imported
        module = importlib.import_module(module_info.name)
        for _, found in inspect.getmembers(module, dataclasses.is_dataclass):
            if isinstance(found, type) and found.__module__ == module_info.name:
                yield found


def test_no_dataclass_shows_a_secret() -> None:
    shown = {
        (kind.__module__, member.name)
        for kind in dataclasses_of_the_code()
        for member in dataclasses.fields(kind)
        if re.search(r"(?:password|secret|token)\Z", member.name) and member.repr
    }
    assert shown - OF_ONE_CALL == set()
