"""The process tells of itself under systemd too, which shows it nothing of /proc but itself."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bridge.ops.own_process import OwnProcess

TOLD = {
    *("process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"),
    *("process_virtual_memory_bytes", "process_open_fds", "process_max_fds"),
}
_AS_THE_UNIT_DOES = "mount -t proc -o subset=pid,hidepid=invisible proc /proc && exec \"$0\" -c '{program}'"
_PROGRAM = """
from bridge.ops.metrics import PrometheusTelemetry
print(PrometheusTelemetry(trunks=(), version="1").exposition().decode())
"""


def test_without_the_rest_of_proc_the_process_says_when_it_began(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("/proc/self")
    registry = CollectorRegistry()
    OwnProcess(proc=str(tmp_path), registry=registry)
    assert {name for name in TOLD if registry.get_sample_value(name) is not None} == TOLD
    began, with_all_of_it = registry.get_sample_value("process_start_time_seconds"), CollectorRegistry()
    OwnProcess(registry=with_all_of_it)
    assert began is not None
    assert began == pytest.approx(with_all_of_it.get_sample_value("process_start_time_seconds"), abs=1)
    assert began < time.time()


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator may mount another /proc")
def test_the_packaged_service_is_seen_to_start_again() -> None:
    command = _AS_THE_UNIT_DOES.format(program=_PROGRAM)
    run = ("unshare", "--mount", "--pid", "--fork", "sh", "-c", command, sys.executable)
    told = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout
    assert {name for name in TOLD if f"\n{name} " in told} == TOLD
