"""`a=crypto` lines: what is taken, what is skipped, and that a key is never shown."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.entropy import SeededEntropy, SystemEntropy
from bridge.media import sdes
from bridge.media.sdes import CryptoLine, Suite

KEY = base64.b64encode(bytes(range(30))).decode()
GCM_KEY = base64.b64encode(bytes(range(28))).decode()
CM = "AES_CM_128_HMAC_SHA1_80"


@pytest.mark.parametrize(
    ("value", "tag", "suite"),
    [
        (f"1 {CM} inline:{KEY}", 1, Suite.AES_CM_80),
        (f"999999999 AES_CM_128_HMAC_SHA1_32 inline:{KEY}", 999_999_999, Suite.AES_CM_32),
        (f"2 AEAD_AES_128_GCM inline:{GCM_KEY}", 2, Suite.AES_GCM),
        (f"2 AEAD_AES_128_GCM inline:{GCM_KEY.rstrip('=')}", 2, Suite.AES_GCM),
        (f"1 {CM.lower()} INLINE:{KEY}", 1, Suite.AES_CM_80),
        (f"1   {CM}  inline:{KEY}|2^48", 1, Suite.AES_CM_80),
        (f"1 {CM} inline:{KEY}|1048576", 1, Suite.AES_CM_80),
        (f"1 {CM} inline:{KEY}|2^31 WSH=64", 1, Suite.AES_CM_80),
        (f"1 {CM} inline:{KEY} KDR=0 -vendor", 1, Suite.AES_CM_80),
    ],
)
def test_a_line_that_is_understood_is_taken(value: str, tag: int, suite: Suite) -> None:
    (line,) = sdes.read_lines([value])
    assert (line.tag, line.suite, line.key) == (tag, suite, bytes(range(suite.key_size)))


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"1 {CM}",
        f"x {CM} inline:{KEY}",
        f"1234567890 {CM} inline:{KEY}",
        f"1 F8_128_HMAC_SHA1_80 inline:{KEY}",
        f"1 {CM} inline:{GCM_KEY}",
        f"1 {CM} inline:{KEY[:-4]}",
        f"1 {CM} inline:{KEY[:-1]}!",
        f"1 {CM} inline:{KEY[:20]}={KEY[20:-1]}",
        f"1 {CM} prompt:{KEY}",
        f"1 {CM} inline:{KEY}|2^20|1:4",
        f"1 {CM} inline:{KEY}|1:4",
        f"1 {CM} inline:{KEY}|2^49",
        f"1 {CM} inline:{KEY}|2^0",
        f"1 {CM} inline:{KEY}|",
        f"1 {CM} inline:{KEY};inline:{KEY}",
        f"1 {CM} inline:{KEY} UNENCRYPTED_SRTP",
        f"1 {CM} inline:{KEY} UNAUTHENTICATED_SRTP",
        f"1 {CM} inline:{KEY} KDR=3",
        f"1 {CM} inline:{KEY} FEC_ORDER=SRTP_FEC",
        f"1 {CM} inline:{'A' * 60_000}",
    ],
)
def test_a_line_that_is_not_understood_is_skipped_and_the_next_one_taken(value: str) -> None:
    good = f"7 {CM} inline:{KEY}"
    assert [line.tag for line in sdes.read_lines([value, good])] == [7]


def test_of_two_lines_with_one_tag_the_first_counts_and_their_number_is_bounded() -> None:
    other = base64.b64encode(bytes(30)).decode()
    assert [line.key for line in sdes.read_lines([f"1 {CM} inline:{KEY}", f"1 {CM} inline:{other}"])] == [
        bytes(range(30))
    ]
    assert len(sdes.read_lines(f"{n} {CM} inline:{KEY}" for n in range(500))) == 16


@given(st.text(max_size=200))
def test_whatever_a_peer_writes_is_read_or_skipped(text: str) -> None:
    assert all(len(line.key) == line.suite.key_size for line in sdes.read_lines([text, f"1 {CM} inline:{text}"]))


@given(tag=st.integers(0, 999_999_999), suite=st.sampled_from(Suite), seed=st.integers())
def test_what_is_written_is_read_back(tag: int, suite: Suite, seed: int) -> None:
    line = sdes.new_line(SeededEntropy(seed), tag=tag, suite=suite)
    assert sdes.read_lines([line.line().removeprefix("a=crypto:")]) == (line,)


def test_a_key_is_new_every_time_and_is_never_printed() -> None:
    lines = [sdes.new_line(SystemEntropy(), tag=1, suite=Suite.AES_CM_80) for _ in range(50)]
    assert len({line.key for line in lines}) == 50
    assert "key" not in repr(CryptoLine(tag=1, suite=Suite.AES_CM_80, key=b"k" * 30))
