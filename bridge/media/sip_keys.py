"""Whose keys the phone's leg uses: what we offer, what is answered, what is renewed (RFC 4568 §7.1)."""

from bridge.core.entropy import Entropy
from bridge.media import sdes
from bridge.media.policy import SrtpUse
from bridge.media.sdes import CryptoLine, KeyPair, same_key
from bridge.media.sdp_sip import RemoteSip
from bridge.media.verdicts import not_encrypted


class SipKeys:
    """Keys live as long as the two ends that share them: another phone gets another key, the same one keeps it."""

    def __init__(self, use: SrtpUse, entropy: Entropy) -> None:
        self._use = use
        self._entropy = entropy
        self._offered: dict[bool, CryptoLine | None] = {}
        """To the phone of the call, and to another: two offers may be out at once."""
        self.pair: KeyPair | None = None
        """`None` while the audio is in the clear."""

    def offer(self, *, to_another: bool) -> CryptoLine | None:
        """The line of an offer: the key in use, or a new one, for a first offer and for another phone."""
        line = None
        if self._use is not SrtpUse.OFF:
            in_use = self.pair.ours if self.pair is not None and not to_another else None
            line = in_use or sdes.new_line(self._entropy, tag=1, suite=sdes.OFFERED_SUITE)
        self._offered[to_another] = line
        return line

    def take_answer(self, remote: RemoteSip, *, from_another: bool) -> None:
        """Raises :class:`bridge.media.engine.MediaError` when encryption was demanded and is not there.

        An answer has the one line that it accepts, with the tag and the suite of the offer (RFC 4568 §5.1.3).
        """
        offered = self._offered.get(from_another)
        theirs = remote.crypto[0] if remote.crypto else None
        if offered is None or theirs is None:
            if self._use is SrtpUse.REQUIRED or remote.is_secure:
                raise not_encrypted("the answer has no usable key")
            self.pair = None
            return
        if (theirs.tag, theirs.suite) != (offered.tag, offered.suite):
            raise not_encrypted("the answer's key is not for our offer")
        self.pair = KeyPair(ours=offered, theirs=theirs)

    def answer(self, remote: RemoteSip) -> CryptoLine | None:
        """The line of our answer, for the first of the offer's that we speak.

        While the phone keeps its key, we keep ours. A new key may mean another phone behind the same dialog, which
        knows nothing of our rollover counter: so ours is renewed with it.
        """
        theirs = next(iter(remote.crypto), None)
        if theirs is None or self._use is SrtpUse.OFF:
            self.pair = None
            return None
        kept = self.pair.ours if self.pair and same_key(theirs, self.pair.theirs) else None
        ours = (
            CryptoLine(tag=theirs.tag, suite=kept.suite, key=kept.key)
            if kept is not None
            else sdes.new_line(self._entropy, tag=theirs.tag, suite=theirs.suite)
        )
        self.pair = KeyPair(ours=ours, theirs=theirs)
        return ours
