"""Ports that tests give to their peers: none twice, however many runs of tests there are at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import process
from tests.peers.process import free_port

_PORTS = range(9_000, 9_900)
"""Not those of the runs of tests beside this one."""
_OTHER_RUN = """
import sys
from pathlib import Path
from tests.peers import process
process._NEXT_PORT = Path(sys.argv[1])
print(process.free_port(span=2, kept=True), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where these tests note whose turn it is, apart from all others."""
    path = tmp_path / "next-port"
    monkeypatch.setattr(process, "_NEXT_PORT", path)
    monkeypatch.setattr(process, "PORTS", _PORTS)
    path.write_text(str(_PORTS.start))
    return path


def test_ports_have_their_turn_one_after_the_other(note: Path) -> None:
    first, second = free_port(span=3), free_port()
    assert second >= first + 3


def test_a_port_that_another_run_keeps_is_nobody_else_s_when_its_turn_comes_again(note: Path) -> None:
    command = (sys.executable, "-c", _OTHER_RUN, note)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        kept = int(other.stdout.readline())
        note.write_text(str(kept))
        assert free_port() == kept + 2
        other.communicate()
    note.write_text(str(kept))
    assert free_port() == kept, "free when that run has ended"


def test_a_port_that_this_run_keeps_is_given_to_nobody_else(note: Path) -> None:
    kept = free_port(kept=True)
    note.write_text(str(kept))
    assert free_port() == kept + 1
