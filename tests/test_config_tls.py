"""What check-config says of certificates, keys and authorities."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.config import Config, ConfigError, load_config, sip_settings, warnings
from bridge.sip.settings import Transport
from tests.peers.certificates import Authority, Identity

TOKENS = {"TRUNKLINE_AS_TOKEN": "a" * 32, "TRUNKLINE_HS_TOKEN": "h" * 32}
SETTINGS = """
homeserver: {url: "http://127.0.0.1:8008", server_name: example.org}
sip:
  listen: [tls:192.0.2.1:5061]
  tls: {certificate: us.crt.pem, private_key: us.key.pem, ca_file: Test-Authority.pem}
trunks:
  carrier: {server: sip.example.net, transport: tls, tls: {ca_file: Test-Authority.pem, server_name: pbx.internal}}
"""


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Authority(tmp_path).issue(file="us")


def load(directory: Path, text: str = SETTINGS) -> Config:
    file = directory / "trunkline.yaml"
    file.write_text(text)
    return load_config(file, TOKENS)


def faults(directory: Path, text: str = SETTINGS) -> dict[str, str]:
    with pytest.raises(ConfigError) as raised:
        load(directory, text)
    return {fault.path: fault.message for fault in raised.value.faults}


def test_files_are_found_beside_the_configuration(tmp_path: Path, identity: Identity) -> None:
    settings = sip_settings(load(tmp_path))
    assert (settings.tls.certificate, settings.tls.private_key) == (identity.certificate, identity.private_key)
    assert settings.listeners[0].transport is Transport.TLS
    (trunk,) = settings.trunks
    assert trunk.tls.ca_file == tmp_path / "Test-Authority.pem"
    assert trunk.tls.server_name == "pbx.internal"


Spoil = Callable[[Identity], object]


@pytest.mark.parametrize(
    ("spoil", "setting", "words"),
    [
        (lambda us: us.private_key.unlink(), "sip.tls.private_key", "No such file"),
        (lambda us: us.certificate.unlink(), "sip.tls.certificate", "No such file"),
        (lambda us: us.certificate.write_text("x"), "sip.tls.certificate", "has no certificate in PEM form"),
        (lambda us: us.private_key.write_text("x"), "sip.tls.private_key", "is not a private key in PEM form"),
        (
            lambda us: us.certificate.with_name("Test-Authority.pem").write_text("x"),
            "sip.tls.ca_file",
            "no certificate",
        ),
        (lambda us: us.certificate.write_bytes(b"x" * (2 << 20)), "sip.tls.certificate", "is too large"),
        (lambda us: (us.private_key.unlink(), us.private_key.mkdir()), "sip.tls.private_key", "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, identity: Identity, spoil: Spoil, setting: str, words: str
) -> None:
    spoil(identity)
    assert words in faults(tmp_path)[setting]


def test_the_key_of_another_certificate_is_a_fault(tmp_path: Path, identity: Identity) -> None:
    key = identity.private_key.read_bytes()
    Authority(tmp_path).issue(file="us")
    identity.private_key.write_bytes(key)
    assert "us.key.pem is not the key of" in faults(tmp_path)["sip.tls.private_key"]


def test_the_files_of_a_trunk_are_looked_at_too(tmp_path: Path, identity: Identity) -> None:
    text = SETTINGS.replace("{ca_file: Test-Authority.pem, server_name", "{ca_file: none.pem, server_name")
    assert "No such file" in faults(tmp_path, text)["trunks.carrier.tls.ca_file"]


def test_a_registrar_calls_by_the_connection_that_we_opened_so_no_certificate_is_needed(tmp_path: Path) -> None:
    text = """
homeserver: {url: "http://127.0.0.1:8008", server_name: example.org}
trunks: {carrier: {server: sip.example.net, transport: tls, auth: register, username: u, password: p, tls: }}
"""
    assert sip_settings(load(tmp_path, text)).trunks[0].transport is Transport.TLS


def test_a_certificate_that_has_ended_is_a_warning(tmp_path: Path) -> None:
    Authority(tmp_path).issue(file="us", expired=True)
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    assert any(
        warning.startswith(f"sip.tls.certificate: ended on {yesterday:%Y-%m-%d}")
        for warning in warnings(load(tmp_path))
    )


def test_a_key_that_everybody_can_read_is_a_warning(tmp_path: Path, identity: Identity) -> None:
    assert not any("chmod" in warning for warning in warnings(load(tmp_path)))
    identity.private_key.chmod(0o644)
    assert any(f"chmod o-rwx {identity.private_key}" in warning for warning in warnings(load(tmp_path)))
