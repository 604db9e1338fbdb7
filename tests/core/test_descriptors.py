"""The limit of open files is as high as the system allows."""

import resource
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from bridge.core.descriptors import raise_descriptor_limit


@pytest.fixture
def lowered() -> Iterator[int]:
    """The hard limit, the soft one being lower during the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard - 1, 512), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_is_raised_to_the_hard_one(lowered: int) -> None:
    assert raise_descriptor_limit() == lowered
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == lowered
    assert raise_descriptor_limit() == lowered


def test_a_system_that_refuses_is_no_reason_not_to_start(lowered: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(resource, "setrlimit", refuse)
        assert raise_descriptor_limit() < lowered
    assert [line["event"] for line in logs] == ["descriptor_limit_not_raised"]
