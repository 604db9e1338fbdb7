"""Secrets in the configuration: where they may come from, and that nothing shows them."""

import os
from pathlib import Path

import pytest

from bridge.config import (
    ConfigError,
    load_config,
    matrix_settings,
    sip_settings,
    warnings,
)
from tests.config_files import MINIMAL, TOKENS, faults, load, write


class TestSecrets:
    def test_come_from_the_file_itself(self, tmp_path: Path) -> None:
        text = MINIMAL + f"appservice: {{as_token: {'x' * 20}, hs_token: {'y' * 20}}}"
        settings = matrix_settings(load_config(write(tmp_path, text), {}))
        assert (settings.as_token, settings.hs_token) == ("x" * 20, "y" * 20)

    def test_come_from_files_beside_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "as").write_text("x" * 20 + "\n")
        (tmp_path / "hs").write_text("y" * 20)
        text = MINIMAL + "appservice: {as_token_file: as, hs_token_file: hs}"
        settings = matrix_settings(load_config(write(tmp_path, text), {}))
        assert (settings.as_token, settings.hs_token) == ("x" * 20, "y" * 20)

    def test_come_from_the_environment(self, tmp_path: Path) -> None:
        text = MINIMAL + "trunks: {my-pbx: {server: a.b, auth: digest, username: u}}"
        config = load(tmp_path, text, TRUNKLINE_TRUNKS_MY_PBX_PASSWORD="secret")
        assert sip_settings(config).trunks[0].password == "secret"

    def test_from_two_places_are_a_fault(self, tmp_path: Path) -> None:
        (tmp_path / "as").write_text("x" * 20)
        found = faults(tmp_path, MINIMAL + "appservice: {as_token_file: as}")
        assert found["appservice.as_token"] == (
            "comes from as_token_file and from the environment variable TRUNKLINE_AS_TOKEN: keep one of them"
        )

    def test_in_absent_files_name_the_file(self, tmp_path: Path) -> None:
        text = MINIMAL + "appservice: {as_token_file: as, hs_token_file: hs}"
        with pytest.raises(ConfigError) as raised:
            load_config(write(tmp_path, text), {})
        assert [fault.absent_file for fault in raised.value.faults] == [tmp_path / "as", tmp_path / "hs"]

    def test_in_unreadable_files_are_faults(self, tmp_path: Path) -> None:
        (tmp_path / "as").mkdir()
        (tmp_path / "hs").write_bytes(b"\xff" * 20)
        found = faults(tmp_path, MINIMAL + "appservice: {as_token_file: as, hs_token_file: hs}", {})
        assert "not a regular file" in found["appservice.as_token_file"]
        assert "not UTF-8" in found["appservice.hs_token_file"]

    def test_that_are_empty_or_huge_are_faults(self, tmp_path: Path) -> None:
        (tmp_path / "as").write_text("\n")
        (tmp_path / "hs").write_text("x" * 10_000)
        found = faults(tmp_path, MINIMAL + "appservice: {as_token_file: as, hs_token_file: hs}", {})
        assert "is empty" in found["appservice.as_token_file"]
        assert "too large" in found["appservice.hs_token_file"]

    def test_that_are_easily_guessed_are_faults(self, tmp_path: Path) -> None:
        found = faults(tmp_path, MINIMAL, {**TOKENS, "TRUNKLINE_HS_TOKEN": "short"})
        assert "at least 16 characters" in found["appservice.hs_token"]

    def test_must_differ(self, tmp_path: Path) -> None:
        same = dict.fromkeys(TOKENS, "x" * 20)
        assert faults(tmp_path, MINIMAL, same) == {"appservice.hs_token": "must differ from as_token"}

    def test_of_a_trunk_that_is_not_there_are_faults(self, tmp_path: Path) -> None:
        found = faults(tmp_path, MINIMAL, {**TOKENS, "TRUNKLINE_TRUNKS_CARIER_PASSWORD": "x"})
        assert found == {"": "the environment variable TRUNKLINE_TRUNKS_CARIER_PASSWORD names no trunk of this file"}

    def test_of_two_trunks_in_one_variable_are_faults(self, tmp_path: Path) -> None:
        text = MINIMAL + "trunks: {a-b: {server: a.b}, a_b: {server: a.c}}"
        found = faults(tmp_path, text, {**TOKENS, "TRUNKLINE_TRUNKS_A_B_PASSWORD": "x"})
        assert "names more than one trunk" in found["trunks"]

    def test_are_not_printed(self, tmp_path: Path) -> None:
        text = MINIMAL + "trunks: {a: {server: a.b, auth: digest, username: u, password: open-sesame}}"
        config = load(tmp_path, text)
        assert "open-sesame" not in repr(config) + str(config)
        assert TOKENS["TRUNKLINE_AS_TOKEN"] not in repr(config)

    @pytest.mark.parametrize(
        "text",
        [
            "trunks: {a: {server: a.b, password: 8472910365}}",
            "trunks: {a: {server: a.b, password: [8472910365]}}",
            "trunks: {a: {server: a.b, password: *8472910365}}",
            "trunks: {a: {server: a.b, password: &8472910365 }}",
            "trunks: {a: {server: a.b, password: !8472910365}}",
            "trunks: {a: {server: a.b, password: !8472910365!x y}}",
            "trunks: {a: {server: a.b, password: @8472910365}}",
            "trunks: {a: {server: a.b, auth: digest, username: u, password: 8472910365, password_file: f}}",
            "trunks: {a: {server: 'sip:u:8472910365@a.b'}}",
            "trunks: {a: {server: 'u:8472910365@a.b:5060'}}",
            "trunks: {a: {server: a.b, passwort: '8472910365'}}",
            "appservice: {as_token: 8472910365847291}",
            "appservice: {as_token: '8472910365'}",
            "appservice: {as_token: '84729 10365 84729 10365'}",
            "appservice: {url: 'ftp://u:8472910365@h'}",
            "appservice: {url: 'http://u:8472910365/x@h'}",
            "appservice: {url: 'http://h/?access_token=8472910365'}",
        ],
    )
    def test_that_are_written_wrongly_are_not_quoted_in_faults(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigError) as raised:
            load_config(write(tmp_path, MINIMAL + text), {})
        assert "84729" not in str(raised.value)

    def test_are_not_quoted_in_faults(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as raised:
            load_config(write(tmp_path, MINIMAL), {**TOKENS, "TRUNKLINE_AS_TOKEN": "se cret" * 5})
        assert "se cret" not in str(raised.value)


def test_a_secret_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "as"
    file.write_text("x" * 20)
    file.chmod(0o644)
    config = load_config(write(tmp_path, MINIMAL + "appservice: {as_token_file: as}"), {"TRUNKLINE_HS_TOKEN": "y" * 20})
    assert any("chmod o-rwx" in warning for warning in warnings(config))
    file.chmod(0o600)
    assert not any("chmod o-rwx" in warning for warning in warnings(config))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ('"a\\0b"', "is not a path"),
        ("fifo", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (".", "not a regular file"),
    ],
)
def test_a_secret_that_is_no_file_is_a_fault_and_never_waited_for(tmp_path: Path, file: str, words: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    found = faults(tmp_path, MINIMAL + f"appservice: {{hs_token_file: {file}}}", {"TRUNKLINE_AS_TOKEN": "a" * 32})
    assert words in found["appservice.hs_token_file"]


class TestTrunkHeaders:
    def test_come_from_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "extra").write_text("X-Telnyx-Token: hush\nX-Other:  a: b\n")
        config = load(tmp_path, MINIMAL + "trunks: {a: {server: a.b, headers_file: extra}}")
        assert sip_settings(config).trunks[0].headers == (("X-Telnyx-Token", "hush"), ("X-Other", "a: b"))
        assert "hush" not in repr(config)

    def test_come_from_the_environment(self, tmp_path: Path) -> None:
        config = load(tmp_path, MINIMAL + "trunks: {a: {server: a.b}}", TRUNKLINE_TRUNKS_A_HEADERS="X-Token: hush")
        assert sip_settings(config).trunks[0].headers == (("X-Token", "hush"),)

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            ("X-Token hush", "expected lines such as"),
            ("X Token: hush", "expected lines such as"),
            ("X-Token:", "expected lines such as"),
            ("X-Token: hu\\x00sh", "expected lines such as"),
            ("via: hush", "via is a header field that Trunkline writes itself"),
            ("f: hush", "f is a header field that Trunkline writes itself"),
        ],
    )
    def test_that_cannot_be_sent_are_a_fault_that_shows_no_secret(self, tmp_path: Path, lines: str, words: str) -> None:
        found = faults(tmp_path, MINIMAL + f'trunks: {{a: {{server: a.b, headers: "{lines}"}}}}')
        assert words in found["trunks.a.headers"]
        assert "hush" not in found["trunks.a.headers"]
