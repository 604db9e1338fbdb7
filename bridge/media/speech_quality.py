"""How a call sounds, estimated from what is measured: the E-model (ITU-T G.107), and its rating as a MOS.

A narrow-band call by a telephone's standards, whatever codec it comes over: 4.4 is as good as G.711 over a wire gets.
Parameters that are not measured have G.107's default values; the echo is taken to be cancelled at both ends.
"""

import math
from dataclasses import dataclass, replace

from bridge.media.engine import HeardStats, LegStats, MediaStats

DEFAULT_RATING = 93.2
"""R0 - Is with all of G.107's default values (§7.7)."""
ADVANTAGE = 0.0
"""A: people expect of this no less than of any telephone."""
BURST_RATIO = 1.0
"""BurstR: losses are taken to be random; of bursts they sound worse."""
_HARMLESS_DELAY_MS = 100.0
_PACKET_MS = 20.0
_FAR_BUFFER_MS = 60.0
"""What a client or a phone is likely to hold audio back for, besides its packets."""
_CODEC_DELAY_MS = {"OPUS": 6.5, "G722": 1.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """What coding does to speech: Ie at no loss, and Bpl, how well losses are borne (ITU-T G.113 appendix I)."""

    impairment: float
    robustness: float


G711 = Codec(impairment=0.0, robustness=25.1)
"""With the concealment of G.711 appendix I, which we have; without one Bpl would be 4.3."""
CODECS = {
    "PCMU": G711,
    "PCMA": G711,
    "G722": Codec(impairment=0.0, robustness=25.1),
    "OPUS": Codec(impairment=0.0, robustness=25.1),
}
"""G.113 has narrow-band values for neither Opus nor G.722. At 16 kbit/s and more both are rated no worse than G.711 in
listening tests, so its values stand in; in-band redundancy makes Opus bear losses better than this says."""


def rating(*, codec: Codec, loss: float, delay_ms: float) -> float:
    """R, 0 to 100, of a loss between 0 and 1 and a delay from mouth to ear (G.107 §7.1)."""
    percent = 100 * loss
    burdened = percent / BURST_RATIO + codec.robustness
    equipment = codec.impairment + (95 - codec.impairment) * percent / burdened
    return min(max(DEFAULT_RATING - delay_impairment(delay_ms) - equipment + ADVANTAGE, 0.0), 100.0)


def delay_impairment(delay_ms: float) -> float:
    """Idd: what an absolute delay does to a conversation (G.107 §7.4.3)."""
    if delay_ms <= _HARMLESS_DELAY_MS:
        return 0.0
    x = math.log2(delay_ms / _HARMLESS_DELAY_MS)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def opinion(rated: float) -> float:
    """The mean opinion score that goes with R, 1 to 4.5 (G.107 annex B)."""
    return 1 + 0.035 * rated + rated * (rated - 60) * (100 - rated) * 7e-6 if rated > 6.5 else 1.0


def estimate(spoken: LegStats, heard: LegStats, played: HeardStats, *, transcoded: bool) -> float | None:
    """The MOS of one direction: from the leg where it is spoken to the one where it is heard; `None` of silence.

    What is lost on the way here, what is thrown away, and what the far end says that it never got, add up where audio
    is transcoded. What passes through keeps its gaps, so that the far end counts what was lost on the way here as
    well. Half of each leg's round trip is its way; a leg whose far end has told none is taken to be short.
    """
    if not spoken.packets_received:
        return None
    lost = max(spoken.packets_lost, 0)
    arrived = spoken.packets_received / (spoken.packets_received + lost)
    arrived *= 1 - played.packets_discarded / max(spoken.packets_received, played.packets_discarded)
    if heard.far_packets_lost is not None and heard.packets_sent:
        expected = heard.packets_sent + (0 if transcoded else lost)
        told = 1 - min(heard.far_packets_lost / expected, 1.0)
        arrived = arrived * told if transcoded else min(arrived, told)
    ways_ms = sum((leg.round_trip_ms or 0.0) / 2 for leg in (spoken, heard))
    coding_ms = sum(_CODEC_DELAY_MS.get(leg.codec, 0.0) for leg in (spoken, heard))
    delay_ms = ways_ms + coding_ms + _PACKET_MS * (2 if transcoded else 1) + played.playout_delay_ms + _FAR_BUFFER_MS
    worse = max(_codec(spoken), _codec(heard), key=lambda codec: (codec.impairment, -codec.robustness))
    return round(opinion(rating(codec=worse, loss=1 - arrived, delay_ms=delay_ms)), 2)


def _codec(leg: LegStats) -> Codec:
    return CODECS.get(leg.codec, G711)


def rated(stats: MediaStats, *, speaks_to_sip: LegStats | None = None) -> MediaStats:
    """The same numbers with the MOS of each side's speech; the phone hears the Matrix leg unless another one speaks."""
    to_matrix = estimate(stats.sip, stats.matrix, stats.heard_by_matrix, transcoded=stats.transcoded)
    to_sip = estimate(speaks_to_sip or stats.matrix, stats.sip, stats.heard_by_sip, transcoded=stats.transcoded)
    return replace(stats, matrix=replace(stats.matrix, mos=to_sip), sip=replace(stats.sip, mos=to_matrix))
