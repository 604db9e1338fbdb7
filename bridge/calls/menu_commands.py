"""What a call wants done so that its phone can walk through a menu, and reach whom it chooses."""

from dataclasses import dataclass, field

from bridge.calls.menu import MenuPlan, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class FindTarget:
    """Find out what a choice leads to → one of `MenuEvent`: a target of the configuration, or an extension."""

    target: str = ""
    extension: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayPrompt:
    """Let the phone hear what a menu says, and listen for its keys → `SoundPlayed`, or `MediaRefused`."""

    menu: str
    prompt: Prompt
    edition: int = 0
    """Of the configuration that the menu is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayRingback:
    """Let the phone hear that it rings somewhere, in the tones of its own country, until something else is played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeMatrixAnswer:
    """Take the answering device's description, and leave the phone to it: no sound, no listening for keys.

    → `MediaConnected` in time, or `MediaRefused`.
    """

    matrix_sdp: str


MenuMediaCommand = PlayPrompt | PlayRingback | TakeMatrixAnswer
MenuCommand = FindTarget | MenuMediaCommand


def prompt_of(menu: MenuPlan, prompt: Prompt) -> PlayPrompt:
    """The command that says a sentence of this menu."""
    return PlayPrompt(menu=menu.name, prompt=prompt, edition=menu.edition)
