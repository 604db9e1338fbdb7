"""Whose packets are believed on a leg (RFC 3550 appendix A.1): a stray one must not interrupt what is being heard.

The first source is believed at once, for it interrupts nothing. After that a source, or one whose numbers jump, has to
send two packets in order first; the first of them is lost, which is 20 ms at the most. Several sources may be known at
the same time: gateways send digits, or music on hold, under a number of their own.
"""

from dataclasses import dataclass

from bridge.media.rtp import sequence_delta

MAX_DROPOUT = 3000
"""Packets that may be missing from a source that goes on: a minute of speech."""
MAX_MISORDER = 100
"""By how much a packet may be late."""
MOST_KNOWN = 4


def jumps(step: int) -> bool:
    """Whether a source whose number moves by this has started anew, rather than lost packets or mixed them up."""
    return not -MAX_MISORDER <= step < MAX_DROPOUT


@dataclass(slots=True)
class _Source:
    highest: int
    proof: int
    """The number that proves a source, or that it has started anew: the one after its last packet."""
    is_proven: bool


class Sources:
    """Those of one leg; the one that was heard last stands at the end."""

    def __init__(self) -> None:
        self._known: dict[int, _Source] = {}

    def expect_new(self) -> None:
        """The leg is another one, or elsewhere: whoever comes next is believed at once."""
        self._known.clear()

    def believe(self, ssrc: int, sequence: int) -> bool:
        """Whether a packet counts."""
        source = self._known.pop(ssrc, None)
        if source is None:
            source = self._meet(sequence)
            self._known[ssrc] = source
            return source.is_proven
        self._known[ssrc] = source
        step = sequence_delta(sequence, source.highest)
        if sequence != source.proof and (jumps(step) or not source.is_proven):
            source.proof = (sequence + 1) & 0xFFFF
            return False
        if step > 0 or jumps(step):
            source.highest = sequence
        source.is_proven, source.proof = True, (source.highest + 1) & 0xFFFF
        return True

    def _meet(self, sequence: int) -> _Source:
        """One that is not known; it takes the place of another when there are too many, of an unproven one first."""
        is_first = not any(source.is_proven for source in self._known.values())
        if len(self._known) == MOST_KNOWN:
            unproven = (ssrc for ssrc, source in self._known.items() if not source.is_proven)
            del self._known[next(unproven, next(iter(self._known)))]
        return _Source(highest=sequence, proof=(sequence + 1) & 0xFFFF, is_proven=is_first)
