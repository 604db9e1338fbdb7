"""The playout buffer under loss, reordering and jitter; time is an argument, so minutes pass in milliseconds."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.playout import MAX_DELAY_S, Piece, PieceKind, PlayoutBuffer

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
    assert heard.buffer.counters.concealed_frames == 0


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.10, 0.30])
def test_everything_that_arrives_is_played_and_the_rest_is_made_up(loss: float) -> None:
    heard = listen(Network(seed=2, loss=loss, jitter_s=0.015))
    discarded = heard.arrived - len(heard.numbers())
    assert discarded <= (0.01 if loss <= 0.1 else 0.03) * heard.arrived
    lost = 3000 - heard.arrived
    assert heard.buffer.counters.concealed_frames == pytest.approx(lost, abs=0.02 * 3000)
    assert heard.numbers() == sorted(heard.numbers())


def test_single_losses_are_recovered_from_the_next_packet() -> None:
    heard = listen(Network(seed=3, loss=0.05))
    assert heard.kinds(PieceKind.RECOVER) > heard.kinds(PieceKind.CONCEAL)


def test_reordering_and_duplicates_are_put_right() -> None:
    heard = listen(Network(seed=4, reorder=0.05, duplicate=0.02, jitter_s=0.01))
    assert len(heard.numbers()) >= 0.995 * 3000
    assert heard.numbers() == sorted(set(heard.numbers()))
    assert heard.buffer.counters.duplicate + heard.buffer.counters.late > 0


def test_the_delay_follows_the_jitter_within_its_limits() -> None:
    calm, rough = listen(Network(seed=5)), listen(Network(seed=5, jitter_s=0.1))
    assert calm.buffer.delay_s == pytest.approx(0.020, abs=0.005)
    assert 0.08 < rough.buffer.delay_s <= MAX_DELAY_S
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
    assert buffer.counters.concealed_frames == 0
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
    assert buffer.counters.concealed_frames == 0
    assert played >= 45


def test_after_an_outage_the_present_is_heard() -> None:
    buffer = PlayoutBuffer(clock_rate=8000)
    pending = sorted((max(n * FRAME_S, 3.0) if 1.0 < n * FRAME_S < 3.0 else n * FRAME_S, n) for n in range(300))[::-1]
    last = -1
    for tick in range(300):
        now = tick * FRAME_S
        while pending and pending[-1][0] <= now:
            _, n = pending.pop()
            buffer.push(sequence=n, timestamp=n * FRAME, payload=n.to_bytes(4, "big"), now=now)
        piece = buffer.next(now)
        if piece.kind is PieceKind.AUDIO:
            buffer.played(FRAME)
            last = int.from_bytes(piece.payload, "big")
        if now == pytest.approx(3.5):
            assert now - last * FRAME_S <= MAX_DELAY_S + 2 * FRAME_S


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
def test_no_sequence_of_packets_breaks_it(steps: list[tuple[int, int, bool, int]]) -> None:
    buffer, now = PlayoutBuffer(clock_rate=8000), 0.0
    for sequence, timestamp, audible, pops in steps:
        buffer.push(sequence=sequence, timestamp=timestamp, payload=b"x" if audible else None, now=now)
        for _ in range(pops):
            if buffer.next(now).kind is PieceKind.AUDIO:
                buffer.played(FRAME)
            now += FRAME_S
