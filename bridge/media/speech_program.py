"""The program that makes text speech, which a machine may or may not have."""

import shutil

PROGRAM = "espeak-ng"


def can_speak() -> bool:
    """Whether the program is there."""
    return shutil.which(PROGRAM) is not None
