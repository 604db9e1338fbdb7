"""The `trunkline` command. A person's mistake gets a sentence and exit code 1, never a traceback."""

import asyncio
import importlib.metadata
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from bridge.config import Config, ConfigError, Fault, load_config, matrix_settings, warnings
from bridge.core.entropy import SystemEntropy
from bridge.core.errors import TrunklineError
from bridge.core.ids import UserId
from bridge.core.user_ids import is_user_id

if TYPE_CHECKING:
    from bridge.ops.test_calls.report import TestWish

_FILE = click.Path(dir_okay=False, path_type=Path)
_config_option = click.option("--config", "path", type=_FILE, required=True, help="The configuration file.")
_TOKEN_LENGTH = 64
_NARROWEST = 40
"""Columns of a terminal; in fewer, folding makes nothing easier to read."""
_INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


def _user_id(context: click.Context, option: click.Parameter, user: str | None) -> str | None:
    """What is no user id would be one whom nobody knows."""
    if user is not None and not is_user_id(user):
        raise click.BadParameter(f"expected a user id such as @alice:example.org, found '{user}'")
    return user


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Trunkline makes the telephone network a part of Matrix."""


@main.command()
@_config_option
def run(path: Path) -> None:
    """Run the bridge. SIGTERM lets calls finish, a second one or SIGINT hangs up, SIGHUP reads the file again.

    SIGUSR1 logs everything until it comes again, SIGUSR2 writes the state of the bridge into the log.
    """
    config = _load(path)
    # Imported late: a wrong configuration is reported without loading the audio stack.
    from bridge import app
    from bridge.ops.logs import configure_logging, redaction_key

    configure_logging(
        level=config.logging.level,
        json=config.logging.format == "json",
        key=redaction_key(config.appservice.as_token.get_secret_value()),
    )
    for warning in warnings(config):
        structlog.get_logger().warning("configuration_noted", note=warning)
    try:
        asyncio.run(app.run(config, lambda: load_config(path, os.environ)))
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
    except (TrunklineError, OSError, ExceptionGroup) as error:
        raise _explanation(error) from error


@main.command("check-config")
@_config_option
def check_config(path: Path) -> None:
    """Say whether a configuration can be used, and list every fault if it cannot."""
    config = _load(path)
    for warning in warnings(config):
        _say(f"{path}: note: {warning}")
    click.echo(f"{path}: configuration is valid")


@main.command("doctor")
@_config_option
def examine_set_up(path: Path) -> None:
    """Look at the whole set-up and say what to do: configuration, homeserver, trunks, network, clock, disk, files.

    Exits with 1 when something keeps calls from working. A bridge that runs is asked, and not disturbed; where none
    runs, the SIP side is started for some seconds, as the bridge would start it.
    """
    config = _load(path)
    if not asyncio.run(_print_findings(config, path)):
        raise SystemExit(1)


async def _print_findings(config: Config, path: Path) -> bool:
    """Say each finding when it is found; gives whether calls can work."""
    from bridge.app.doctor.examination import examine
    from bridge.app.doctor.findings import Grade

    counts = dict.fromkeys(Grade, 0)
    async for finding in examine(config, path):
        counts[finding.grade] += 1
        _say(str(finding), indent=9)
    click.echo(f"{counts[Grade.FAULT]} to put right, {counts[Grade.WARNING]} to think about")
    return not counts[Grade.FAULT]


@main.command("generate-registration")
@_config_option
@click.option("--output", type=_FILE, required=True, help="The registration file to write.")
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
def generate_registration(path: Path, output: Path, force: bool) -> None:
    """Write the file that tells the homeserver about the bridge; make the tokens' files if there are none yet."""
    if output.exists() and not force:
        raise click.ClickException(f"{output} exists; give --force to overwrite it")
    config = _load_with_new_tokens(path)
    from bridge.matrix.registration import puppet_registration_yaml, registration_yaml

    settings = matrix_settings(config)
    files = {output: registration_yaml(settings)}
    if settings.puppet_token:
        files[output.with_stem(f"{output.stem}-puppets")] = puppet_registration_yaml(settings)
    for file, content in files.items():
        _write_secret(file, content, replace=force)
        click.echo(f"wrote {file}")
    these = "that file" if len(files) == 1 else "those files"
    click.echo(f"Next: let the homeserver read {these} (for Synapse: list under app_service_config_files)")
    click.echo(f"and restart the homeserver. Then: trunkline run --config {path}")


@main.command("explain")
@_config_option
@click.option("--user", callback=_user_id, help="Who calls: @user:server.")
@click.option("--number", help="What is dialled, as people type it.")
@click.option("--room", default=None, help="From which room, where a permission names rooms.")
@click.option("--called", help="Instead: the number that a phone calls.")
def explain_call(path: Path, user: str | None, number: str | None, room: str | None, called: str | None) -> None:
    """Say what would become of a call, and why, without calling: permissions, trunks, caller number, price and limits.

    With --called it is a call from a phone: whom the number reaches at this hour, and who is rung after whom. What was
    set over the admin API counts as well, and so do the user's own setting, what is used of limits, suspensions, and
    trunks that were taken out of service. Exits with 1 when the call would be refused. Which trunks answer, and what is
    held for calls that go on, only a running bridge knows: ask its admin API.
    """
    if (called is None) is (user is None or number is None):
        raise click.UsageError("say who dials what (--user, --number), or which number a phone calls (--called)")
    config = _load(path)
    from bridge.app.explaining import explain_beside, explain_called_beside
    from bridge.core.ids import RoomId
    from bridge.numbers.explain import Question

    question = Question(user=UserId(user or ""), dialled=number or "", room=RoomId(room) if room else None)
    try:
        answer = explain_beside(config, question) if called is None else explain_called_beside(config, called)
    except TrunklineError as error:
        raise click.ClickException(str(error)) from error
    for line in answer.lines:
        _say(line)
    if not answer.permitted:
        raise SystemExit(1)


@main.command("call-test")
@_config_option
@click.argument("number", metavar="+NUMBER")
@click.option("--trunk", default="", help="Over this trunk, and no other.")
@click.option("--seconds", default=8.0, show_default=True, help="For how long audio is measured.")
@click.option("--ring", "ring_s", default=45.0, show_default=True, help="For how many seconds it may ring.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON, for scripts.")
def place_test_call(path: Path, number: str, trunk: str, seconds: float, ring_s: float, as_json: bool) -> None:
    """Let the running bridge call a number, play a tone, measure the audio both ways, and hang up.

    Exit codes: 0 heard both ways, 3 the phone is heard but does not say whether it hears us, 4 one-way, 5 no audio,
    6 not answered, 7 a trunk or the bridge failed, 8 not permitted; 1 when no call could be asked for.
    """
    config = _load(path)
    from bridge.ops.test_calls.report import TestWish

    wish = TestWish(number=number, trunk=trunk, seconds=seconds, ring_s=ring_s)
    try:
        code = asyncio.run(_follow_test_call(config, wish, as_json=as_json))
    except TrunklineError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
    raise SystemExit(code)


async def _follow_test_call(config: Config, wish: "TestWish", *, as_json: bool) -> int:
    """Say each step when it happens (standard error), and the report in the end; gives the exit code."""
    from bridge.app.probe.asking import AskError, ask
    from bridge.ops.test_calls.report import TestReport

    async for told in ask(config, wish):
        if isinstance(told, TestReport):
            click.echo(told.to_json() if as_json else "\n".join(told.lines()))
            return told.outcome.exit_code
        if not as_json:
            click.echo(f"{told.what} ({told.at_s:.1f} s)", err=True)
    raise AskError("the bridge ended before the call was over")


@main.command("trace")
@_config_option
@click.argument("name", metavar="[CALL]", required=False)
@click.option("--show-numbers", is_flag=True, help="Show numbers, user ids and addresses instead of keyed hashes.")
@click.option("--messages", is_flag=True, help="Show SIP messages in full.")
def trace_call(path: Path, name: str | None, show_numbers: bool, messages: bool) -> None:
    """Show the life of one call step by step, or list the last calls.

    CALL is a call_id of log lines and call records, a Matrix call id, or the Call-ID of SIP.
    """
    config = _load_with_key(path)
    from bridge.config import trace_settings
    from bridge.ops.traces.ladder import ladder_of, overview_of
    from bridge.ops.traces.showing import Showing

    file, showing = trace_settings(config).path, Showing(numbers=show_numbers)
    if file is None:
        raise click.ClickException("no traces are kept: ops.trace_days is 0")
    try:
        lines = ladder_of(file, name, showing, messages=messages) if name else overview_of(file, showing)
    except TrunklineError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(lines))


@main.group("records")
def personal_records() -> None:
    """What is kept about one user: call records, past calls, settings, messages, traces."""


_user_option = click.option("--user", required=True, callback=_user_id, help="Whose: @user:server.")


@personal_records.command("export")
@_config_option
@_user_option
@click.option("--output", type=_FILE, required=True, help="The file to write, for its owner's eyes only.")
def export_records(path: Path, user: str, output: Path) -> None:
    """Write all that is kept about a user to a file of JSON. The bridge may run."""
    config = _load_with_key(path)
    from bridge.app.personal_data import export_user

    try:
        known = export_user(config, UserId(user))
    except (TrunklineError, OSError) as error:
        raise click.ClickException(str(error)) from None
    _write_secret(output, json.dumps(known, ensure_ascii=False, indent=2) + "\n", replace=False)
    click.echo(f"wrote {output}")


@personal_records.command("erase")
@_config_option
@_user_option
@click.confirmation_option(prompt="This cannot be undone. Erase it?")
def erase_records(path: Path, user: str) -> None:
    """Erase what is kept about a user, and say what it was. Stop the bridge before.

    What limits and suspensions need stays until they need it no more. Backups, log files and files that were moved away
    are not looked at, nor is what the homeserver has.
    """
    config = _load_with_key(path)
    from bridge.app.personal_data import erase_user

    try:
        erased = erase_user(config, UserId(user))
    except (TrunklineError, OSError) as error:
        raise click.ClickException(str(error)) from None
    for what, count in sorted(erased.items()):
        click.echo(f"{what}: {count} erased")


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"trunkline {importlib.metadata.version('trunkline')}")


def _say(line: str, *, indent: int = 4) -> None:
    """A line for people: folded to the width of their terminal, and in one piece for whatever else reads it."""
    if sys.stdout.isatty():
        width = max(shutil.get_terminal_size().columns, _NARROWEST)
        hanging = " " * indent
        line = textwrap.fill(line, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
    click.echo(line)


def _explanation(error: Exception) -> click.ClickException:
    """What kept the bridge from running, in a sentence for each cause; a bug is no such thing and is raised again."""
    causes = list(_causes(error))
    if not all(isinstance(cause, TrunklineError | OSError) for cause in causes):
        raise error
    return click.ClickException("\n".join(str(cause) for cause in causes))


def _causes(error: Exception) -> Iterator[Exception]:
    """Errors without the groups that task groups put around them."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    else:
        yield error


def _load(path: Path) -> Config:
    try:
        return load_config(path, os.environ)
    except ConfigError as error:
        raise _refusal(path, error.faults) from None


def _load_with_key(path: Path) -> Config:
    """With people hashed as in the logs and records of the bridge."""
    config = _load(path)
    from bridge.core.pii import use_redaction_key
    from bridge.ops.logs import redaction_key

    use_redaction_key(redaction_key(config.appservice.as_token.get_secret_value()))
    return config


def _load_with_new_tokens(path: Path) -> Config:
    """Make the files of tokens that do not exist yet, but only if nothing else is wrong."""
    try:
        return load_config(path, os.environ)
    except ConfigError as error:
        others = [fault for fault in error.faults if fault.absent_file is None]
        if others:
            raise _refusal(path, others) from None
        for file in sorted({fault.absent_file for fault in error.faults if fault.absent_file is not None}):
            _write_secret(file, SystemEntropy().token(_TOKEN_LENGTH) + "\n", replace=False)
            click.echo(f"created {file}")
    return _load(path)


def _refusal(path: Path, faults: list[Fault]) -> click.ClickException:
    """Every fault on a line of its own, with file and line where editors look for them."""
    lines = [f"{path}{f':{fault.line}' if fault.line else ''}: {fault.located}" for fault in faults]
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    return click.ClickException("\n".join([f"the configuration cannot be used, {count}:", *lines]))


def _write_secret(file: Path, content: str, *, replace: bool) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    target = file.with_name(f".{file.name}.new") if replace else file
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL), 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(content)
        target.replace(file)
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from None


if __name__ == "__main__":
    main()
