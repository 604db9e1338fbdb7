"""How much each of many may do: a bucket of tokens for each, filled again with time, in bounded memory."""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Budgets:
    """`burst` at once, and one more every `refill_s` after that; time is an argument."""

    def __init__(self, *, burst: int, refill_s: float, max_keys: int = 10_000) -> None:
        self._burst = burst
        self._refill_s = refill_s
        self._max_keys = max_keys
        self._buckets: OrderedDict[str | bytes, _Bucket] = OrderedDict()

    def spend(self, key: str | bytes, now: float) -> bool:
        """Whether `key` may do it once more now; when it may, that is counted.

        Whoever has been quiet for the longest is forgotten first: such a bucket is most likely full anyway.
        """
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) / self._refill_s)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True
