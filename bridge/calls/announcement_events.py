"""What happens while the bridge speaks to a user itself."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementReady:
    """The answer to the user's offer, of a media session that has no phone."""

    sdp: str = field(repr=False)
