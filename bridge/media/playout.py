"""The playout buffer: packets in as the network delivers them, audio out as a clock asks for it.

Time is an argument. The buffer holds audio back just long enough to put late packets in order: the delay starts at
60 ms and follows the measured jitter between 20 and 200 ms. What came in time is never thrown away; what is missing is
named as such, so that the decoder can recover or conceal it. Where the delay is not what it should be, whoever plays
makes speech a little shorter or longer (`surplus_s`): so it follows the network, and the sender's clock.
"""

import bisect
import enum
from dataclasses import dataclass
from itertools import pairwise

from bridge.media.playout_delay import FRAME_S, MAX_DELAY_S, PlayoutDelay
from bridge.media.rtp import sequence_delta, timestamp_delta
from bridge.media.sources import jumps

MOST_CONCEALED_FRAMES = 5
_CAPACITY = 64
_RESTART_S = 5.0
_REMEMBERED = 128
"""Numbers of which it is known whether they were played: what comes again is no loss, what comes late is one."""


class PieceKind(enum.Enum):
    """What the decoder is to do for the next stretch of audio."""

    AUDIO = "audio"
    """Decode the payload."""
    RECOVER = "recover"
    """One packet is lost; the payload is the one that follows it and may carry redundancy (RFC 6716 §2.1.7)."""
    CONCEAL = "conceal"
    """Nothing came in time: continue what was heard."""
    SILENCE = "silence"
    """The source is pausing, or has been gone for too long to be continued."""
    IDLE = "idle"
    """Nothing is due: no source, or the delay of a new one is not over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The next stretch of audio."""

    kind: PieceKind
    ticks: int = 0
    """Its length in clock ticks; for AUDIO the decoder knows it."""
    payload: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What became of the packets of a direction; frames are of 20 ms."""

    frames: int = 0
    concealed: int = 0
    discarded: int = 0
    delay_s: float = 0.0
    """How long audio was held back last."""

    def __add__(self, later: "Played") -> "Played":
        return Played(
            frames=self.frames + later.frames,
            concealed=self.concealed + later.concealed,
            discarded=self.discarded + later.discarded,
            delay_s=later.delay_s or self.delay_s,
        )


@dataclass(slots=True, order=True)
class _Waiting:
    """A packet in the buffer, under counters that do not wrap."""

    sequence: int
    timestamp: int
    payload: bytes | None
    """`None`: the number is accounted for (a digit, comfort noise) but carries no audio."""


class PlayoutBuffer:
    """Orders and times the packets of one source."""

    def __init__(self, *, clock_rate: int, redundant: bool = False) -> None:
        self.concealed_frames = 0
        """Frames that had to be made up; those in front of a pause of the source are not known to be."""
        self.discarded = 0
        """Packets of audio that came, and were not played: too late, or too many at once."""
        self.delay = PlayoutDelay(redundant=redundant)
        self.delay_s = 0.0
        """How long after the fastest packet audio is played, just now or when it was last."""
        self.surplus_s = 0.0
        """By how much that is more than it must be; negative when it is less."""
        self._clock_rate = clock_rate
        self._played_ticks = 0
        self._frame = self._packet = round(clock_rate * FRAME_S)
        self._waiting: list[_Waiting] = []
        self._newest: _Waiting | None = None
        self._played_sequence: int | None = None
        self._due: int | None = None
        self._made_up_to: int | None = None
        """How far the audio was made up when the buffer ran dry."""
        self._dry_at = 0.0
        """When that was."""
        self._idle_frames = 0
        """How long nothing at all was played after it."""
        self._starts_at = 0.0
        self._run = 0
        self._unproven = 0
        self._taken = 0
        """Bit n: the number n before the last one that was played is done with."""

    # What the network delivers

    def push(self, *, sequence: int, timestamp: int, payload: bytes | None, now: float) -> None:
        """Take a packet; `payload=None` accounts for one that is not audio."""
        packet = self._unwrap(sequence, timestamp, payload)
        if self._refused(packet, now):
            return
        if not self._waiting and self._due is None:
            self._starts_at = now + self.delay.wanted_s
        bisect.insort(self._waiting, packet)
        if payload is not None:
            self.delay.measure(now - packet.timestamp / self._clock_rate)
        if len(self._waiting) > _CAPACITY:
            self._shed_one()

    def _unwrap(self, sequence: int, timestamp: int, payload: bytes | None) -> _Waiting:
        """Widen the counters relative to the newest packet; far jumps are a source that has started anew."""
        newest = self._newest
        if newest is not None:
            step = sequence_delta(sequence, newest.sequence & 0xFFFF)
            ticks = timestamp_delta(timestamp, newest.timestamp & 0xFFFFFFFF)
            if not jumps(step) and abs(ticks) <= _RESTART_S * self._clock_rate:
                packet = _Waiting(newest.sequence + step, newest.timestamp + ticks, payload)
                self._newest = packet if step > 0 else newest
                return packet
            self.reset()
        base = 1 << 32
        self._newest = _Waiting(base * 16 + sequence, base * 16 + timestamp, payload)
        return self._newest

    def _refused(self, packet: _Waiting, now: float) -> bool:
        """Whether a packet comes too late or again. One that was only missing from a run-dry buffer is not too late."""
        if self._played_sequence is None or packet.sequence > self._played_sequence:
            return any(waiting.sequence == packet.sequence for waiting in self._waiting)
        age = self._played_sequence - packet.sequence
        if age < _REMEMBERED and not self._taken >> age & 1:
            self._taken |= 1 << age
            if packet.payload is not None:
                self.discarded += 1
                self.delay.measure(now - packet.timestamp / self._clock_rate)
        return True

    def _done_with(self, sequence: int, *, taken: bool = True) -> None:
        """Playing has come to this number, whose packet was `taken` or never came."""
        step = 1 if self._played_sequence is None else max(sequence - self._played_sequence, 0)
        self._taken = (self._taken << min(step, _REMEMBERED) | taken) & (1 << _REMEMBERED) - 1
        self._played_sequence = sequence

    def reset(self) -> None:
        """Forget the source; its packets that wait are lost."""
        self.discarded += sum(waiting.payload is not None for waiting in self._waiting)
        self._waiting.clear()
        self._newest = self._played_sequence = self._due = self._made_up_to = None
        self._run = self._unproven = self._taken = self._idle_frames = 0
        self.surplus_s = 0.0
        self.delay.forget()

    # What the clock asks for

    def next(self, now: float, *, ahead_s: float = 0.0) -> Piece:
        """The stretch of audio that is to be decoded now, and heard when what is `ahead_s` has been.

        The caller reports the length of decoded audio with `played`.
        """
        if self._due is None and not self._begin(now):
            self.surplus_s = 0.0
            return Piece(kind=PieceKind.IDLE)
        self._limit_delay()
        self._skip_accounted()
        delay_s = self.delay.of(now - self._due_now() / self._clock_rate)
        self.delay_s, self.surplus_s = delay_s + ahead_s, delay_s - self.delay.wanted_s
        if not self._waiting:
            return self._run_dry(now)
        head = self._waiting[0]
        gap = head.timestamp - self._due_now()
        if gap <= 0 or gap > _RESTART_S * self._clock_rate:
            return self._play()
        return self._bridge_gap(head, min(gap, self._frame))

    def played(self, ticks: int) -> None:
        """The last AUDIO piece was this long."""
        self._due = self._due_now() + ticks
        self._packet = max(ticks, 1)
        self._played_ticks += ticks

    @property
    def played_so_far(self) -> Played:
        """What became of the packets so far."""
        frames = self._played_ticks // self._frame
        return Played(frames=frames, concealed=self.concealed_frames, discarded=self.discarded, delay_s=self.delay_s)

    def _begin(self, now: float) -> bool:
        """Start playing once the first packet has waited for the delay."""
        if not self._waiting or now < self._starts_at:
            return False
        audible = next((waiting for waiting in self._waiting if waiting.payload is not None), None)
        self._due = (audible or self._waiting[-1]).timestamp
        if self._made_up_to is not None:
            self._idle_frames = round((now - self._dry_at) / FRAME_S)
        return True

    def _due_now(self) -> int:
        if self._due is None:
            raise RuntimeError("nothing is playing")
        return self._due

    def _play(self) -> Piece:
        head = self._waiting.pop(0)
        self._judge_made_up(head)
        self._run = 0
        self._done_with(head.sequence)
        self._due = head.timestamp
        return Piece(kind=PieceKind.AUDIO, payload=head.payload or b"")

    def _judge_made_up(self, head: _Waiting) -> None:
        """The next packet tells whether made-up audio stood in for something that was late or lost, or for a pause."""
        lost, reached = self._missing_before(head), self._due
        if lost:
            self.delay.lost()
        if self._made_up_to is not None:
            reached = self._made_up_to
            # A source may skip as many numbers as it likes; no more was missed than there was time for.
            missed = min(lost * self._packet // self._frame, self._unproven + self._idle_frames)
            self._unproven = max(self._unproven, missed)
        if lost or (reached is not None and head.timestamp < reached):
            self.concealed_frames += self._unproven
        self._unproven, self._idle_frames, self._made_up_to = 0, 0, None

    def _bridge_gap(self, head: _Waiting, ticks: int) -> Piece:
        """Time before the next packet: a pause of the source when no number is missing, else a loss."""
        missing = self._missing_before(head)
        self._due = self._due_now() + ticks
        self._run += 1
        if missing == 0:
            return Piece(kind=PieceKind.SILENCE, ticks=ticks)
        self.delay.lost()
        self._done_with(head.sequence - missing, taken=False)
        self.concealed_frames += 1 + self._unproven
        self._unproven = 0
        if self._run > MOST_CONCEALED_FRAMES:
            return Piece(kind=PieceKind.SILENCE, ticks=ticks)
        if missing == 1 and head.payload is not None and head.timestamp <= self._due:
            return Piece(kind=PieceKind.RECOVER, ticks=ticks, payload=head.payload)
        return Piece(kind=PieceKind.CONCEAL, ticks=ticks)

    def _missing_before(self, head: _Waiting) -> int:
        if self._played_sequence is None:
            return 0
        return head.sequence - self._played_sequence - 1

    def _run_dry(self, now: float) -> Piece:
        """Nothing waits: late, lost or pausing, the next packet will tell. Conceal briefly, then wait for it."""
        self._run += 1
        if self._run > MOST_CONCEALED_FRAMES:
            self._made_up_to, self._due, self._run, self._dry_at = self._due, None, 0, now
            return Piece(kind=PieceKind.IDLE)
        self._unproven += 1
        self._due = self._due_now() + self._frame
        return Piece(kind=PieceKind.CONCEAL, ticks=self._frame)

    def _skip_accounted(self) -> None:
        """Step over numbers that carry no audio."""
        while self._waiting and self._waiting[0].payload is None:
            head = self._waiting[0]
            if self._missing_before(head) > 0 and head.timestamp > self._due_now():
                return
            self._done_with(self._waiting.pop(0).sequence)

    # Keeping the delay short

    def _buffered_s(self) -> float:
        if not self._waiting:
            return 0.0
        return (self._waiting[-1].timestamp + self._packet - self._due_now()) / self._clock_rate

    def _audible_s(self) -> float:
        """The same without pauses of the source: no packet, present or lost, is longer than the last one was."""
        ticks = self._packet
        for before, after in pairwise(self._waiting):
            longest = (after.sequence - before.sequence) * self._packet
            ticks += min(max(after.timestamp - before.timestamp, 0), longest)
        return ticks / self._clock_rate

    def _limit_delay(self) -> None:
        """After a burst (the end of an outage) go on at the present, not seconds behind it."""
        packet_s = self._packet / self._clock_rate
        if self._buffered_s() <= MAX_DELAY_S + packet_s + FRAME_S or self._audible_s() <= MAX_DELAY_S:
            return
        while len(self._waiting) > 1 and self._buffered_s() > self.delay.wanted_s + packet_s:
            self._shed_one()

    def _shed_one(self) -> None:
        head = self._waiting.pop(0)
        if head.payload is not None:
            self._judge_made_up(head)
            self.discarded += 1
        self._done_with(head.sequence)
        if self._due is not None and self._waiting:
            self._due = self._waiting[0].timestamp
