"""The commands: what they print, what they write, and what they refuse."""

import importlib.metadata
import os
import pty
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

import bridge.app
from bridge.cli import main
from bridge.config import Config
from bridge.core.errors import TrunklineError
from bridge.core.ids import TrunkName, UserId
from bridge.store import Store
from bridge.store.administration import StoredEntry
from bridge.store.people import StoredSettings
from bridge.store.spending import StoredSuspension, StoredUse

CONFIG = """
homeserver: {url: "http://127.0.0.1:8008", server_name: example.org}
appservice: {as_token_file: as_token, hs_token_file: hs_token}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "trunkline.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "registration.yaml"


def trunkline(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], env={"TRUNKLINE_AS_TOKEN": ""})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def write_tokens(beside: Path) -> None:
    for name in ("as_token", "hs_token"):
        file = beside.parent / name
        file.write_text(f"{name}-0123456789abcdef")
        file.chmod(0o600)


def test_the_version_is_that_of_the_package() -> None:
    assert trunkline("version").output == f"trunkline {importlib.metadata.version('trunkline')}\n"


def test_a_valid_configuration_is_called_valid(config: Path) -> None:
    write_tokens(config)
    result = trunkline("check-config", "--config", config)
    assert result.exit_code == 0
    assert "configuration is valid" in result.output
    assert "permissions.outbound: nobody may call out" in result.output
    assert "trunks: there is none" in result.output


def test_every_fault_is_listed_with_file_and_line(config: Path) -> None:
    write_tokens(config)
    config.write_text(CONFIG + "calls: {ring_timeout: 1}\nmedia: {ports: x}\n")
    result = trunkline("check-config", "--config", config)
    assert result.exit_code == 1
    assert "2 faults" in result.output
    assert f"{config}:4: calls.ring_timeout: unknown setting, did you mean ring_timeout_s?" in result.output
    assert f"{config}:5: media.ports: expected" in result.output


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = trunkline("check-config", "--config", tmp_path / "none.yaml")
    assert result.exit_code == 1
    assert "cannot read" in result.output


def test_a_registration_makes_the_tokens_it_needs(config: Path, output: Path) -> None:
    result = trunkline("generate-registration", "--config", config, "--output", output)
    assert result.exit_code == 0, result.output
    registration = yaml.safe_load(output.read_text())
    tokens = [(config.parent / name).read_text().strip() for name in ("as_token", "hs_token")]
    assert [registration["as_token"], registration["hs_token"]] == tokens
    assert len(set(tokens)) == 2
    assert all(len(token) == 64 for token in tokens)
    assert "created" in result.output


def test_a_registration_says_what_the_homeserver_must_know(config: Path, output: Path) -> None:
    trunkline("generate-registration", "--config", config, "--output", output)
    registration = yaml.safe_load(output.read_text())
    assert registration["rate_limited"] is False
    assert registration["url"] == "http://127.0.0.1:29330"
    assert registration["sender_localpart"] == "_sip_bot"
    assert set(registration["protocols"]) == {"m.protocol.pstn", "im.vector.protocol.pstn"}
    assert [user["exclusive"] for user in registration["namespaces"]["users"]] == [True]


def test_a_puppet_token_makes_a_second_registration(config: Path, output: Path) -> None:
    config.write_text(
        CONFIG.replace("server_name: example.org", "server_name: example.org, puppet_token_file: puppets")
    )
    result = trunkline("generate-registration", "--config", config, "--output", output)
    assert result.exit_code == 0, result.output
    second = yaml.safe_load(output.with_name(f"{output.stem}-puppets.yaml").read_text())
    assert second["as_token"] == (config.parent / "puppets").read_text().strip()
    assert second["as_token"] != yaml.safe_load(output.read_text())["as_token"]


def test_secrets_can_be_read_by_their_owner_only(config: Path, output: Path) -> None:
    trunkline("generate-registration", "--config", config, "--output", output)
    for file in (output, config.parent / "as_token", config.parent / "hs_token"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_registration_is_not_overwritten_by_accident(config: Path, output: Path) -> None:
    output.write_text("precious")
    result = trunkline("generate-registration", "--config", config, "--output", output)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert output.read_text() == "precious"
    assert not (config.parent / "as_token").exists()


def test_a_registration_can_be_overwritten_and_keeps_the_tokens(config: Path, output: Path) -> None:
    trunkline("generate-registration", "--config", config, "--output", output)
    before = output.read_text()
    output.write_text("old")
    output.chmod(0o644)
    assert trunkline("generate-registration", "--config", config, "--output", output, "--force").exit_code == 0
    assert output.read_text() == before
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


def test_a_faulty_configuration_makes_no_tokens(config: Path, output: Path) -> None:
    config.write_text(CONFIG + "media: {ports: x}\n")
    result = trunkline("generate-registration", "--config", config, "--output", output)
    assert result.exit_code == 1
    assert "media.ports" in result.output
    assert "does not exist" not in result.output
    assert not (config.parent / "as_token").exists()
    assert not output.exists()


def test_a_directory_that_cannot_be_written_is_one_line(config: Path, tmp_path: Path) -> None:
    write_tokens(config)
    result = trunkline("generate-registration", "--config", config, "--output", tmp_path / "none" / "registration.yaml")
    assert result.exit_code == 1
    assert "cannot write" in result.output


def test_a_wrong_configuration_does_not_start_anything(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(config: Config, read_config: Callable[[], Config]) -> None:
        raise AssertionError("started")

    monkeypatch.setattr(bridge.app, "run", start)
    result = trunkline("run", "--config", config)
    assert result.exit_code == 1
    assert "appservice.as_token_file" in result.output


@pytest.fixture
def without_log_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging is a process's own: a test that sets it up would do so for all that follow."""
    monkeypatch.setattr("bridge.ops.logs.configure_logging", lambda **settings: None)


@pytest.mark.usefixtures("without_log_set_up")
def test_a_valid_configuration_runs(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tokens(config)
    started: list[Config] = []

    async def start(config: Config, read_config: Callable[[], Config]) -> None:
        started.extend((config, read_config()))

    monkeypatch.setattr(bridge.app, "run", start, raising=False)
    assert trunkline("run", "--config", config).exit_code == 0
    assert [one.homeserver.server_name for one in started] == ["example.org"] * 2


@pytest.mark.usefixtures("without_log_set_up")
@pytest.mark.parametrize(
    "error",
    [
        TrunklineError("ops.listen: cannot listen on 127.0.0.1:9464"),
        OSError("cannot listen"),
        ExceptionGroup("tasks", [ExceptionGroup("tasks", [TrunklineError("cannot listen")])]),
    ],
)
def test_what_prevents_the_start_is_one_line(config: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    write_tokens(config)

    async def fail(config: Config, read_config: Callable[[], Config]) -> None:
        raise error

    monkeypatch.setattr(bridge.app, "run", fail, raising=False)
    result = trunkline("run", "--config", config)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "cannot listen" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("without_log_set_up")
def test_a_bug_is_not_explained_away(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tokens(config)

    async def fail(config: Config, read_config: Callable[[], Config]) -> None:
        raise ExceptionGroup("tasks", [TrunklineError("cannot listen"), ZeroDivisionError()])

    monkeypatch.setattr(bridge.app, "run", fail, raising=False)
    result = CliRunner().invoke(main, ["run", "--config", str(config)])
    assert isinstance(result.exception, ExceptionGroup)


@pytest.fixture
def with_trunk(config: Path) -> Path:
    write_tokens(config)
    config.write_text(f"{CONFIG}trunks: {{carrier: {{server: h.b}}}}\n")
    return config


async def test_what_was_set_over_the_admin_api_is_explained_as_well(with_trunk: Path) -> None:
    config = with_trunk
    question = ("explain", "--config", config, "--user", "@alice:example.org", "--number", "+44 20 7946 0018")
    assert trunkline(*question).exit_code == 1
    store = await Store.open(config.with_name("trunkline.sqlite3"))
    await store.admin_entries.put(
        StoredEntry(kind="permission", name="sales", body={"who": ["example.org"], "prefixes": ["+44"]})
    )
    permitted = trunkline(*question)
    await store.close()
    assert permitted.exit_code == 0
    assert "permission sales of the admin API: permits +44" in permitted.output


def test_a_call_is_explained_without_calling(config: Path) -> None:
    write_tokens(config)
    config.write_text(
        CONFIG
        + """
trunks: {carrier: {server: h.b, caller_id: "+15550199", rates: {"+44": "0.0125"}}}
permissions:
  outbound: [{who: ["@alice:example.org"], prefixes: ["+44"]}]
  limits: [{who: [example.org], day_cost: "5"}]
  currency: EUR
"""
    )
    permitted = trunkline("explain", "--config", config, "--user", "@alice:example.org", "--number", "+44 20 7946 0018")
    assert permitted.exit_code == 0
    assert "trunk 1: carrier, 0.0125 EUR a minute in steps of 60 s, shows +15550199" in permitted.output
    assert "permissions.limits[0]: 5.00 EUR a day (each)" in permitted.output
    refused = trunkline("explain", "--config", config, "--user", "@bob:example.org", "--number", "+44 20 7946 0018")
    assert refused.exit_code == 1
    assert "permissions: none speaks of @bob:example.org" in refused.output
    assert "refused: outbound_is_off" in refused.output


LIMITED = """
trunks:
  carrier: {server: h.b, caller_id: "+15550199", rates: {"+44": "0.6"}}
  pbx: {server: h.c, rates: {"+49": "0.6"}}
permissions:
  outbound: [{who: ["@alice:example.org"], prefixes: ["+"]}]
  limits: [{who: [example.org], day_cost: "5"}]
"""


@pytest.fixture
def limited(config: Path) -> Path:
    write_tokens(config)
    config.write_text(CONFIG + LIMITED)
    return config


async def test_what_the_bridge_has_written_of_a_caller_is_explained_as_well(limited: Path) -> None:
    """Nothing is there before the bridge has run; then it runs, and nobody else may write."""
    config = limited
    question = ("explain", "--config", config, "--user", "@alice:example.org", "--number")
    assert trunkline(*question, "+44 20 7946 0018").exit_code == 0
    assert not config.with_name("trunkline.sqlite3").exists()
    store, user = await Store.open(config.with_name("trunkline.sqlite3")), UserId("@alice:example.org")
    today = datetime.now().astimezone().date().isoformat()
    await store.settings.put(user, StoredSettings(withheld=True))
    await store.spending.add([StoredUse(account=user, day=today, seconds=90, cost=1_200_000)])
    hidden = trunkline(*question, "+44 20 7946 0018")
    assert (hidden.exit_code, "number withheld" in hidden.output) == (0, True)
    assert "5.00 a day, 1.20 used" in hidden.output
    await store.spending.add([StoredUse(account=user, day=today, seconds=0, cost=3_800_000)])
    spent = trunkline(*question, "+44 20 7946 0018")
    assert (spent.exit_code, "refused: limit_reached" in spent.output) == (1, True)
    await store.suspensions.put(StoredSuspension(user_id=user, reason="countries", until=time.time() + 3600))
    suspended = trunkline(*question, "+44 20 7946 0018")
    assert (suspended.exit_code, "refused: suspended" in suspended.output) == (1, True)
    await store.suspensions.put(StoredSuspension(user_id=user, reason="countries", until=time.time() - 1))
    assert "refused: limit_reached" in trunkline(*question, "+44 20 7946 0018").output
    await store.trunks_out.put(TrunkName("carrier"))
    assert "trunk carrier: is not used" in trunkline(*question, "+44 20 7946 0018").output
    await store.close()


def test_a_call_without_a_price_is_not_explained_as_one_that_can_be_made(limited: Path) -> None:
    answer = trunkline("explain", "--config", limited, "--user", "@alice:example.org", "--number", "+1 202 555 0147")
    assert (answer.exit_code, "refused: no_price" in answer.output) == (1, True)


def on_a_terminal(*arguments: str, columns: int) -> list[str]:
    """The lines that a person sees."""
    master, slave = pty.openpty()
    with open(slave, "wb") as screen:
        environ = {**os.environ, "COLUMNS": str(columns), "TRUNKLINE_AS_TOKEN": ""}
        subprocess.run([sys.executable, "-m", "bridge", *arguments], stdout=screen, env=environ, check=False)
    seen = b""
    # A terminal that nobody writes to any more ends with EIO.
    with suppress(OSError):
        while part := os.read(master, 4096):
            seen += part
    os.close(master)
    return seen.decode().splitlines()


def test_lines_are_folded_on_a_terminal_and_in_one_piece_in_a_pipe(limited: Path) -> None:
    question = ("explain", "--config", str(limited), "--user", "@alice:example.org", "--number", "+442079460018")
    piped = trunkline(*question).stdout.splitlines()
    assert max(map(len, piped)) > 60
    seen = on_a_terminal(*question, columns=60)
    assert max(map(len, seen)) <= 60
    assert "\n".join(seen).replace("\n    ", " ").split("\n") == piped


def test_it_is_explained_whom_a_number_reaches(config: Path) -> None:
    write_tokens(config)
    config.write_text(
        CONFIG
        + """
groups: {sales: {members: ["@alice:example.org"]}}
numbers: {inbound: {"201": "group:sales"}}
"""
    )
    reached = trunkline("explain", "--config", config, "--called", "201")
    assert (reached.exit_code, "groups.sales: @alice:example.org together" in reached.output) == (0, True)
    assert trunkline("explain", "--config", config, "--called", "202").exit_code == 1


@pytest.mark.parametrize("words", [(), ("--user", "@a:b.c"), ("--called", "201", "--user", "@a:b.c", "--number", "1")])
def test_one_question_is_asked_at_a_time(config: Path, words: tuple[str, ...]) -> None:
    assert trunkline("explain", "--config", config, *words).exit_code == 2


@pytest.mark.parametrize("command", [("explain", "--number", "+15550100"), ("records", "erase", "--yes")])
def test_a_user_without_a_server_is_nobody(config: Path, command: tuple[str, ...]) -> None:
    result = trunkline(*command, "--config", config, "--user", "alice")
    assert (result.exit_code, "expected a user id such as @alice:example.org" in result.output) == (2, True)


def test_a_test_call_needs_a_bridge_that_knows_who_asks(config: Path) -> None:
    write_tokens(config)
    result = trunkline("call-test", "--config", config, "+15550100")
    assert (result.exit_code, "ops.console.token is not set" in result.output) == (1, True)
    with config.open("a") as file:
        file.write('ops: {listen: "127.0.0.1:1", console: {token: a-token-of-sixteen-characters}}\n')
    result = trunkline("call-test", "--config", config, "+15550100")
    assert (result.exit_code, "no bridge listens at 127.0.0.1:1" in result.output) == (1, True)
