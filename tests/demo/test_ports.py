"""Ports that stay the same from one run to the next."""

import socket
from pathlib import Path

import pytest

from deploy.demo.ports import StoredPorts, free_port, is_free


def test_a_port_is_the_same_in_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"

    first = StoredPorts(path).take("sip", kind="both")

    assert StoredPorts(path).take("sip", kind="both") == first


def test_a_port_that_somebody_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = StoredPorts(path).take("ops")
    with socket.socket() as other:
        other.bind(("127.0.0.1", first))
        other.listen()

        second = StoredPorts(path).take("ops")

    assert second != first
    assert StoredPorts(path).take("ops") == second


@pytest.mark.parametrize("stored", ["", "[]", "{", '{"ops": "http"}', '{"ops": 0}', '{"ops": 70000}'])
def test_a_damaged_file_costs_nothing_but_the_old_numbers(tmp_path: Path, stored: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(stored)

    assert 0 < StoredPorts(path).take("ops") < 65536


def test_a_port_for_both_transports_is_free_in_both() -> None:
    port = free_port(kind="both")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))

        assert not is_free(port, kind="udp")
        assert not is_free(port, kind="both")
        assert is_free(port, kind="tcp")
