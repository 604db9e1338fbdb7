"""What a server is told to make of an offer or an answer, for the party that will read it. Pure.

The keys are those of rtpengine's control protocol; a server of another version skips what it does not know.
"""

from collections.abc import Mapping, Sequence

from bridge.media.formats import Codec
from bridge.media.policy import SipMediaPolicy, SrtpUse
from bridge.media.rtpengine.bencode import Value
from bridge.media.rtpengine.descriptions import OPUS
from bridge.media.sdes import OFFERED_SUITE

Flags = Mapping[str, Value]

_EVENTS = "telephone-event"
_OTHER_SUITES = (
    "AES_CM_128_HMAC_SHA1_32",
    "AES_192_CM_HMAC_SHA1_80",
    "AES_192_CM_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
    "F8_128_HMAC_SHA1_80",
    "F8_128_HMAC_SHA1_32",
    "NULL_HMAC_SHA1_80",
    "NULL_HMAC_SHA1_32",
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM",
)
"""All that rtpengine would offer besides the one that we offer."""
_ALWAYS: Flags = {"replace": ["origin", "session-connection"], "supports": ["load limit"]}
_FLAGS = ["strip-extmap", "strict-source", "port-latching"]
"""No header extensions go through, and no packets of anybody but the party; and a party's port stays, whatever becomes
of the other party."""


def to_webrtc(*, keys: bool) -> Flags:
    """The reader is a Matrix client: ICE, DTLS-SRTP, RTCP on the port of RTP (RFC 8835)."""
    return {
        **_ALWAYS,
        "ICE": "force",
        **_lite("forward"),
        "transport-protocol": "UDP/TLS/RTP/SAVPF",
        "rtcp-mux": ["offer", "require"],
        "SDES": ["off"],
        "flags": ["generate-mid", *_FLAGS, *_injection(keys)],
        "codec": {"transcode": [*_names(tuple(Codec), OPUS), _EVENTS]},
    }


def to_phone(policy: SipMediaPolicy, protocol: str, *, keys: bool) -> Flags:
    """The reader is a phone behind a trunk."""
    return {
        **_ALWAYS,
        "ICE": "remove",
        **_lite("backward"),
        "DTLS": "off",
        "transport-protocol": protocol,
        "rtcp-mux": ["demux"],
        "SDES": _suites(policy.srtp),
        **({"OSRTP": ["offer", "accept"]} if policy.srtp is SrtpUse.OPTIONAL else {}),
        "flags": [*_FLAGS, *_injection(keys)],
        "codec": _codecs(policy),
    }


def _lite(whose: str) -> Flags:
    """Towards the client, who reads or wrote this, the server is ICE-lite (RFC 8445 §2.5).

    It answers checks, and sends none to addresses that a stranger chose.
    """
    return {"ICE-lite": whose}


def _codecs(policy: SipMediaPolicy) -> Flags:
    """Only what the trunk may hear; the server converts, where the other side speaks something else.

    Keys are events inside of the server even where the phone's are not: so the client is offered them, and heard.
    """
    masked = [codec for codec in Codec if codec not in policy.allowed]
    return {"mask": _names(masked, "opus"), "transcode": [*_names(policy.allowed, OPUS), _EVENTS]}


def _suites(use: SrtpUse) -> list[str]:
    return ["off"] if use is SrtpUse.OFF else [f"no-{suite}" for suite in _OTHER_SUITES if suite != OFFERED_SUITE]


def _injection(keys: bool) -> list[str]:
    """Lets keys that came by signalling be played; it costs a packet path that decodes, so it is asked for in need."""
    return ["inject-DTMF"] if keys else []


def _names(codecs: Sequence[Codec], opus: str) -> list[str]:
    return [opus if codec is Codec.OPUS else str(codec) for codec in codecs]
