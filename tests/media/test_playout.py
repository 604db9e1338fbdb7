"""The playout buffer under loss, reordering and jitter; time is an argument, so minutes pass in milliseconds."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.media.playout import MOST_CONCEALED_FRAMES, Piece, PieceKind, PlayoutBuffer
from bridge.media.playout_delay import MAX_DELAY_S, MIN_DELAY_S

FRAME_S = 0.020
FRAME = 160


@dataclass(slots=True, kw_only=True)
class Network:
    """Delivers numbered packets with seeded loss and delay."""

    seed: int
    loss: float = 0.0
    jitter_s: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    start: int = 65000

    def deliver(self, count: int) -> list[tuple[float, int]]:
        """Arrival times and packet numbers, by time."""
        chance = random.Random(self.seed)
        arrivals = []
        for n in range(count):
            if n and chance.random() < self.loss:
                continue
            delay = chance.random() * self.jitter_s + (0.03 if chance.random() < self.reorder else 0)
            arrivals.append((n * FRAME_S + delay, n))
            if chance.random() < self.duplicate:
                arrivals.append((n * FRAME_S + delay + 0.001, n))
        return sorted(arrivals)


@dataclass(slots=True, kw_only=True)
class Heard:
    """What the listener got, frame by frame."""

    pieces: list[Piece]
    buffer: PlayoutBuffer
    arrived: int

    def numbers(self) -> list[int]:
        return [int.from_bytes(p.payload, "big") for p in self.pieces if p.kind is PieceKind.AUDIO]

    def kinds(self, kind: PieceKind) -> int:
        return sum(piece.kind is kind for piece in self.pieces)


def listen(network: Network, count: int = 3000) -> Heard:
    """Play a stream of packets to its end."""
    buffer = PlayoutBuffer(clock_rate=8000)
    arrivals = network.deliver(count)
    arrived, pieces, pending = len({n for _, n in arrivals}), [], arrivals[::-1]
    for tick in range(count + 30):
        now = tick * FRAME_S
        while pending and pending[-1][0] <= now:
            at, n = pending.pop()
            buffer.push(
                sequence=(network.start + n) & 0xFFFF,
                timestamp=(n * FRAME + 4_294_900_000) & 0xFFFFFFFF,
                payload=n.to_bytes(4, "big"),
                now=at,
            )
        piece = buffer.next(now)
        if piece.kind is PieceKind.AUDIO:
            buffer.played(FRAME)
        pieces.append(piece)
    return Heard(pieces=pieces, buffer=buffer, arrived=arrived)


def test_a_perfect_network_is_played_perfectly() -> None:
    heard = listen(Network(seed=1))
    assert heard.numbers() == list(range(3000))
    assert heard.kinds(PieceKind.RECOVER) == 0
    assert heard.buffer.concealed_frames == 0


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.10, 0.30])
def test_everything_that_arrives_is_played_and_the_rest_is_made_up(loss: float) -> None:
    heard = listen(Network(seed=2, loss=loss, jitter_s=0.015))
    discarded = heard.arrived - len(heard.numbers())
    assert discarded <= (0.01 if loss <= 0.1 else 0.03) * heard.arrived
    lost = 3000 - heard.arrived
    assert heard.buffer.concealed_frames == pytest.approx(lost, abs=0.02 * 3000)
    assert heard.numbers() == sorted(heard.numbers())


def test_single_losses_are_recovered_from_the_next_packet() -> None:
    heard = listen(Network(seed=3, loss=0.05))
    assert heard.kinds(PieceKind.RECOVER) > heard.kinds(PieceKind.CONCEAL)


def test_reordering_and_duplicates_are_put_right() -> None:
    heard = listen(Network(seed=4, reorder=0.05, duplicate=0.02, jitter_s=0.01))
    assert len(heard.numbers()) >= 0.995 * 3000
    assert heard.numbers() == sorted(set(heard.numbers()))
    assert heard.arrived == 3000


def test_the_delay_follows_the_jitter_within_its_limits() -> None:
    calm, rough = listen(Network(seed=5)), listen(Network(seed=5, jitter_s=0.1))
    assert calm.buffer.delay.wanted_s == pytest.approx(0.020, abs=0.005)
    assert 0.08 < rough.buffer.delay.wanted_s <= MAX_DELAY_S
    assert len(rough.numbers()) >= 0.98 * 3000


def test_a_pause_of_the_source_is_no_loss() -> None:
    buffer = PlayoutBuffer(clock_rate=48000)
    arrivals = {n: (n, n * 960) for n in range(20)} | {70 + n: (20 + n, (70 + n) * 960) for n in range(20)}
    kinds = []
    for tick in range(120):
        if tick in arrivals:
            sequence, timestamp = arrivals[tick]
            buffer.push(sequence=sequence, timestamp=timestamp, payload=b"x", now=tick * FRAME_S)
        piece = buffer.next(tick * FRAME_S)
        if piece.kind is PieceKind.AUDIO:
            buffer.played(960)
        kinds.append(piece.kind)
    assert kinds.count(PieceKind.AUDIO) == 40
    assert buffer.concealed_frames == 0
    assert kinds.count(PieceKind.CONCEAL) <= 10


def test_numbers_used_by_digits_are_no_loss() -> None:
    buffer = PlayoutBuffer(clock_rate=8000)
    played = 0
    for tick in range(60):
        payload = None if 20 <= tick < 28 else b"x"
        buffer.push(
            sequence=tick, timestamp=(20 if payload is None else tick) * FRAME, payload=payload, now=tick * 0.02
        )
        piece = buffer.next(tick * FRAME_S)
        if piece.kind is PieceKind.AUDIO:
            buffer.played(FRAME)
            played += 1
    assert buffer.concealed_frames == 0
    assert played >= 45


@dataclass(slots=True, kw_only=True)
class Outage:
    """A network that delivers nothing for a while, and then all at once, in packets of any length."""

    packet_s: float
    begins_s: float
    ends_s: float

    def lags_s(self, until_s: float) -> list[float]:
        """By how much the audio that begins at each tick is behind the microphone."""
        buffer, size = PlayoutBuffer(clock_rate=8000), round(self.packet_s * 8000)
        spoken = [n * self.packet_s for n in range(round(until_s / self.packet_s))]
        arrivals = [max(at, self.ends_s) if self.begins_s < at < self.ends_s else at for at in spoken]
        pending, lags, left_s = list(enumerate(arrivals))[::-1], [], 0.0
        for tick in range(round(until_s / FRAME_S)):
            now = tick * FRAME_S
            while pending and pending[-1][1] <= now:
                n, _ = pending.pop()
                buffer.push(sequence=n, timestamp=n * size, payload=n.to_bytes(4, "big"), now=now)
            left_s -= FRAME_S
            if left_s > FRAME_S / 2:
                continue
            piece = buffer.next(now)
            if piece.kind is PieceKind.AUDIO:
                buffer.played(size)
                left_s = self.packet_s
                lags.append(now - spoken[int.from_bytes(piece.payload, "big")])
        return lags


@pytest.mark.parametrize("packet_s", [0.02, 0.06])
@pytest.mark.parametrize("outage_s", [0.35, 2.0])
def test_after_an_outage_the_present_is_heard(packet_s: float, outage_s: float) -> None:
    lags = Outage(packet_s=packet_s, begins_s=1.0, ends_s=1.0 + outage_s).lags_s(6.0)
    assert len(lags) >= 0.8 * (6.0 - outage_s) / packet_s
    assert max(lags[-round(1.0 / packet_s) :]) <= MAX_DELAY_S + 2 * FRAME_S


def test_frames_made_up_before_the_buffer_ran_dry_are_counted_once_their_packets_come() -> None:
    buffer, kinds = PlayoutBuffer(clock_rate=8000), []
    for tick in range(100):
        numbers = [tick] if tick < 50 or tick >= 70 else []
        for n in range(50, 71) if tick == 70 else numbers:
            buffer.push(sequence=n, timestamp=n * FRAME, payload=b"x", now=tick * FRAME_S)
        piece = buffer.next(tick * FRAME_S)
        if piece.kind is PieceKind.AUDIO:
            buffer.played(FRAME)
        kinds.append(piece.kind)
    assert kinds.count(PieceKind.CONCEAL) == MOST_CONCEALED_FRAMES
    assert buffer.concealed_frames == MOST_CONCEALED_FRAMES


def test_what_comes_too_late_is_counted_once_and_what_comes_again_never() -> None:
    buffer = PlayoutBuffer(clock_rate=8000)

    def arrive(n: int, tick: int) -> None:
        buffer.push(sequence=n, timestamp=n * FRAME, payload=b"x", now=tick * FRAME_S)

    for tick in range(100):
        if tick != 50:
            arrive(tick, tick)
        if tick == 70:
            arrive(50, tick)
            arrive(50, tick)
            arrive(60, tick)
        if buffer.next(tick * FRAME_S).kind is PieceKind.AUDIO:
            buffer.played(FRAME)
    assert buffer.discarded == 1
    assert buffer.concealed_frames == 1


def test_a_source_that_starts_anew_is_followed() -> None:
    buffer = PlayoutBuffer(clock_rate=8000)
    played = []
    for tick in range(100):
        base = 0 if tick < 50 else 30000
        stamp = (base * 1000 + tick * FRAME) & 0xFFFFFFFF
        buffer.push(sequence=base + tick, timestamp=stamp, payload=tick.to_bytes(4, "big"), now=tick * FRAME_S)
        piece = buffer.next(tick * FRAME_S)
        if piece.kind is PieceKind.AUDIO:
            buffer.played(FRAME)
            played.append(int.from_bytes(piece.payload, "big"))
    assert len(played) >= 90
    assert played[-1] >= 95


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.booleans(), st.integers(0, 5)), max_size=80
    )
)
@example([(0, 0, False, 4), (0, 0, False, 5), (16, 0, True, 5)])
def test_no_sequence_of_packets_breaks_it(steps: list[tuple[int, int, bool, int]]) -> None:
    buffer, now, played = PlayoutBuffer(clock_rate=8000), 0.0, []
    for n, (sequence, timestamp, audible, pops) in enumerate(steps):
        payload = n.to_bytes(2, "big") if audible else None
        buffer.push(sequence=sequence, timestamp=timestamp, payload=payload, now=now)
        assert MIN_DELAY_S <= buffer.delay.wanted_s <= MAX_DELAY_S
        for _ in range(pops):
            piece = buffer.next(now)
            assert 0 <= piece.ticks <= FRAME
            if piece.kind is PieceKind.AUDIO:
                buffer.played(FRAME)
                played.append(int.from_bytes(piece.payload, "big"))
            now += FRAME_S
    assert len(set(played)) == len(played), "nothing is heard twice"
    assert all(steps[n][2] for n in played)
    assert 0 <= buffer.concealed_frames <= sum(pops for *_, pops in steps)


@given(st.integers(0, 0xFFFF), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=80))
def test_what_is_heard_is_in_order(start: int, steps: list[tuple[int, int]]) -> None:
    buffer, now, played = PlayoutBuffer(clock_rate=8000), 0.0, []
    for n, pops in steps:
        buffer.push(sequence=(start + n) & 0xFFFF, timestamp=n * FRAME, payload=n.to_bytes(2, "big"), now=now)
        for _ in range(pops):
            piece = buffer.next(now)
            if piece.kind is PieceKind.AUDIO:
                buffer.played(FRAME)
                played.append(int.from_bytes(piece.payload, "big"))
            now += FRAME_S
    assert played == sorted(set(played))


@pytest.mark.parametrize("redundant", [True, False])
def test_on_a_network_that_loses_audio_waits_for_the_packet_that_repeats_what_was_lost(redundant: bool) -> None:
    buffer, wanted = PlayoutBuffer(clock_rate=8000, redundant=redundant), []
    for number in range(3000):
        if number % 10 or number > 1000:
            buffer.push(sequence=number, timestamp=number * FRAME, payload=b"audio", now=number * FRAME_S)
        if buffer.next(number * FRAME_S).kind is PieceKind.AUDIO:
            buffer.played(FRAME)
        wanted.append(buffer.delay.wanted_s)
    assert wanted[1000] == pytest.approx(MIN_DELAY_S + (FRAME_S if redundant else 0))
    assert wanted[-1] == pytest.approx(MIN_DELAY_S), "not for ever"
