"""What a server's answer to `query` says: counters, whether DTLS is up, what each side was heard of. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bridge.media.engine import LegStats
from bridge.media.rtpengine.bencode import Decoded
from bridge.media.rtpengine.ng import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyFigures:
    """One party, as its server sees it."""

    heard: int = 0
    """Packets that came from it, of audio and of reports: when it grows, the party is there."""
    packets: int = 0
    """Packets of audio that came from it."""
    sent: int | None = None
    """Packets of audio that went to it; older servers do not count them."""
    secured: bool = False
    """Whether DTLS is up, with the certificate that was announced."""
    lost_on: int | None = None
    """Of its packets, by the reports of whoever they go to; `None` while there are none."""
    jitter_on_ms: float | None = None
    round_trip_ms: float | None = None
    """To whoever its packets go to."""
    mos: float | None = None
    """How its audio sounds there, as the server estimates it."""


NOTHING = PartyFigures()


def read_party(reply: Reply, tag: str) -> PartyFigures:
    """The figures of one tag; whatever is missing or of another kind counts as nothing."""
    figures = NOTHING
    for stream in _streams(reply, tag):
        flags = stream.get("flags")
        packets = _number(stream.get("stats"), "packets") or 0
        figures = replace(figures, heard=figures.heard + packets)
        if isinstance(flags, list) and b"RTP" in flags:
            figures = replace(
                _quality(figures, reply, stream.get("SSRC")),
                packets=figures.packets + packets,
                sent=_number(stream.get("stats_out"), "packets"),
                secured=b"DTLS fingerprint verified" in flags,
            )
    return figures


def leg_stats(codec: str, party: PartyFigures, other: PartyFigures) -> LegStats:
    """A leg in the terms of all engines. What is not counted was sent on as it came from the other side."""
    return LegStats(
        codec=codec,
        packets_received=party.packets,
        packets_sent=other.packets if party.sent is None else party.sent,
        round_trip_ms=other.round_trip_ms,
        far_packets_lost=other.lost_on,
        far_jitter_ms=other.jitter_on_ms,
        mos=party.mos,
    )


def _streams(reply: Reply, tag: str) -> Iterator[Mapping[str, Decoded]]:
    tags = reply.get("tags")
    party = tags.get(tag) if isinstance(tags, dict) else None
    medias = party.get("medias") if isinstance(party, dict) else None
    for media in medias if isinstance(medias, list) else []:
        streams = media.get("streams") if isinstance(media, dict) else None
        for stream in streams if isinstance(streams, list) else []:
            if isinstance(stream, dict):
                yield stream


def _quality(figures: PartyFigures, reply: Reply, ssrc: Decoded | None) -> PartyFigures:
    """What its receivers report of a source (RFC 3550 §6.4.1): mean values, the round trip in microseconds."""
    sources = reply.get("SSRC")
    source = sources.get(str(ssrc)) if isinstance(sources, dict) else None
    if not isinstance(source, dict):
        return figures
    mean = source.get("average MOS")
    jitter, round_trip_us = _number(mean, "jitter"), _number(mean, "round-trip time leg")
    tenths = _number(mean, "MOS")
    return replace(
        figures,
        lost_on=_number(source, "cumulative loss"),
        jitter_on_ms=float(jitter) if jitter is not None else None,
        round_trip_ms=round_trip_us / 1000 if round_trip_us else None,
        mos=tenths / 10 if tenths else None,
    )


def _number(figures: Decoded | None, name: str) -> int | None:
    value = figures.get(name) if isinstance(figures, dict) else None
    return value if isinstance(value, int) else None
