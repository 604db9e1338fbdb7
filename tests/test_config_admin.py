"""Tokens of the admin API: each is read from its file, and is long, secret and somebody's own."""

from pathlib import Path

import pytest
import yaml

from bridge.config import ConfigError, load_config, warnings

TOKENS = {"TRUNKLINE_AS_TOKEN": "a" * 32, "TRUNKLINE_HS_TOKEN": "h" * 32}


def faults(directory: Path, tokens: dict[str, str], **ops: object) -> list[str]:
    """What is wrong with tokens, by name and content; without content there is no file."""
    for name, token in tokens.items():
        file = directory / name
        file.touch(mode=0o600)
        file.write_text(token)
        if not token:
            file.unlink()
    file = directory / "trunkline.yaml"
    document = {
        "homeserver": {"url": "http://127.0.0.1:8008", "server_name": "example.org"},
        "ops": {**ops, "admin": {"tokens": {name: name for name in tokens}}},
    }
    file.write_text(yaml.safe_dump(document))
    try:
        config = load_config(file, TOKENS)
    except ConfigError as error:
        return [fault.located for fault in error.faults]
    return [note for note in warnings(config) if note.startswith(("ops.admin", str(directory)))]


@pytest.mark.parametrize(
    ("tokens", "fault"),
    [
        ({"a": ""}, "does not exist"),
        ({"a": "short"}, "must have at least 16 characters"),
        ({"a": "a" * 32}, "must differ from the tokens of appservice"),
        ({"a": "x" * 32, "b": "x" * 32}, "must differ from that of a"),
    ],
)
def test_a_token_that_protects_nothing_is_a_fault(tmp_path: Path, tokens: dict[str, str], fault: str) -> None:
    (found,) = faults(tmp_path, tokens)
    assert fault in found
    assert found.startswith(f"ops.admin.tokens.{list(tokens)[-1]}")


def test_good_ones_are_none(tmp_path: Path) -> None:
    assert faults(tmp_path, {"a": "x" * 32, "b": "y" * 16}) == []


def test_tokens_that_others_can_read_or_overhear_are_noted(tmp_path: Path) -> None:
    (overheard,) = faults(tmp_path, {"a": "x" * 32}, listen="192.0.2.1:9464")
    assert overheard.startswith("ops.admin: is served in the clear")
    (tmp_path / "a").chmod(0o644)
    (read,) = faults(tmp_path, {"a": "x" * 32})
    assert "every user of this machine can read it" in read
