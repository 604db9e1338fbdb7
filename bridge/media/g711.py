"""G.711: telephone audio in eight bits a sample (ITU-T G.711), by table.

The tables are built once from the definition of the two companding laws; a frame is then coded without arithmetic.
"""

import sys
from array import array

_ULAW_BIAS = 132
_ULAW_CLIP = 32635
SILENCE_ULAW = 0xFF
SILENCE_ALAW = 0xD5


def _ulaw_expand(code: int) -> int:
    """One µ-law octet as 16-bit linear: sign, three exponent bits, four mantissa bits, all inverted on the wire."""
    code ^= 0xFF
    magnitude = (((code & 0x0F) << 3) + _ULAW_BIAS) << ((code >> 4) & 0x07)
    return _ULAW_BIAS - magnitude if code & 0x80 else magnitude - _ULAW_BIAS


def _ulaw_compress(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _ULAW_CLIP) + _ULAW_BIAS
    exponent = magnitude.bit_length() - 8
    return (sign | exponent << 4 | (magnitude >> (exponent + 3)) & 0x0F) ^ 0xFF


def _alaw_expand(code: int) -> int:
    """One A-law octet as 16-bit linear; even bits are inverted on the wire."""
    code ^= 0x55
    exponent, mantissa = (code >> 4) & 0x07, code & 0x0F
    magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


def _alaw_compress(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else -sample - 1, 0x7FFF) >> 4
    exponent = max(magnitude.bit_length() - 4, 0)
    mantissa = magnitude >> (exponent - 1) if exponent > 1 else magnitude
    return (sign | exponent << 4 | mantissa & 0x0F) ^ 0x55


def _signed(unsigned: int) -> int:
    return unsigned - 0x10000 if unsigned & 0x8000 else unsigned


_FROM_ULAW = tuple(_ulaw_expand(code) for code in range(256))
_FROM_ALAW = tuple(_alaw_expand(code) for code in range(256))
_TO_ULAW = bytes(_ulaw_compress(_signed(sample)) for sample in range(0x10000))
_TO_ALAW = bytes(_alaw_compress(_signed(sample)) for sample in range(0x10000))
_ULAW_TO_ALAW = bytes(_alaw_compress(sample) for sample in _FROM_ULAW)
_ALAW_TO_ULAW = bytes(_ulaw_compress(sample) for sample in _FROM_ALAW)


def _expand(octets: bytes, table: tuple[int, ...]) -> bytes:
    samples = array("h", map(table.__getitem__, octets))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _compress(pcm: bytes, table: bytes) -> bytes:
    samples = array("H", pcm[: len(pcm) & ~1])
    if sys.byteorder == "big":
        samples.byteswap()
    return bytes(map(table.__getitem__, samples))


def ulaw_decode(octets: bytes) -> bytes:
    """µ-law to little-endian 16-bit PCM."""
    return _expand(octets, _FROM_ULAW)


def ulaw_encode(pcm: bytes) -> bytes:
    """Little-endian 16-bit PCM to µ-law."""
    return _compress(pcm, _TO_ULAW)


def alaw_decode(octets: bytes) -> bytes:
    """A-law to little-endian 16-bit PCM."""
    return _expand(octets, _FROM_ALAW)


def alaw_encode(pcm: bytes) -> bytes:
    """Little-endian 16-bit PCM to A-law."""
    return _compress(pcm, _TO_ALAW)


def ulaw_to_alaw(octets: bytes) -> bytes:
    """Change the law without going through PCM."""
    return octets.translate(_ULAW_TO_ALAW)


def alaw_to_ulaw(octets: bytes) -> bytes:
    """Change the law without going through PCM."""
    return octets.translate(_ALAW_TO_ULAW)
