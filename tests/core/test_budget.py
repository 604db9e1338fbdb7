"""A budget lets short bursts through and holds back what does not stop."""

from bridge.core.budget import Budgets


def test_a_burst_passes_and_more_must_wait() -> None:
    budgets = Budgets(burst=3, refill_s=10.0)
    assert [budgets.spend("alice", 0.0) for _ in range(4)] == [True, True, True, False]
    assert not budgets.spend("alice", 9.0)
    assert budgets.spend("alice", 10.0)
    assert not budgets.spend("alice", 10.0)


def test_a_long_pause_saves_up_one_burst_and_no_more() -> None:
    budgets = Budgets(burst=2, refill_s=1.0)
    budgets.spend("alice", 0.0)
    assert [budgets.spend("alice", 1000.0) for _ in range(3)] == [True, True, False]


def test_one_does_not_spend_what_is_another_s() -> None:
    budgets = Budgets(burst=1, refill_s=60.0)
    assert budgets.spend("alice", 0.0)
    assert budgets.spend("bob", 0.0)


def test_memory_is_bounded() -> None:
    budgets = Budgets(burst=1, refill_s=60.0, max_keys=10)
    for key in range(1000):
        budgets.spend(str(key), 0.0)
    assert len(budgets._buckets) == 10
