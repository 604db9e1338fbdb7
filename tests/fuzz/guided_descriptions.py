"""Descriptions that libFuzzer makes, guided by what our readers do with them; the oracle is that of `descriptions`.

`python -m tests.fuzz.guided_descriptions CORPUS -max_total_time=600`, with the options of libFuzzer. It needs atheris
(`pip install atheris`); `make fuzz` leaves it out where that is not installed. The corpus begins as what real clients
wrote.
"""

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bridge.media"]):
    from tests.fuzz import descriptions
    from tests.media.descriptions import WEBRTC_OFFER


def examine(octets: bytes) -> None:
    """One description behind an octet that says whose it is and how it is read."""
    descriptions.examine(octets[1:].decode(errors="replace"), random.Random(octets[:1]))


def plant(corpus: Path) -> None:
    """Begin with the recorded descriptions, read in each way."""
    corpus.mkdir(parents=True, exist_ok=True)
    known = (*descriptions.recorded(), descriptions.PHONE, WEBRTC_OFFER)
    for number, text in enumerate(known):
        for way in range(4):
            (corpus / f"recorded-{number}-{way}").write_bytes(bytes([way]) + text.encode())


def main() -> None:
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            plant(Path(argument))
    atheris.Setup(sys.argv, examine)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
