"""What the bridge knows of the people who use it: their settings, their past calls, their names for numbers."""

from dataclasses import dataclass

from bridge.app.forward_book import ForwardBook
from bridge.app.history import History
from bridge.app.user_settings import UserSettings
from bridge.core.clock import Clock
from bridge.core.turn import Turn
from bridge.matrix.ghosts import NameOf
from bridge.store import Store
from bridge.store.people import OwnNames


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """All of it, and `name_of`, by which everybody knows a number."""

    settings: UserSettings
    history: History
    forwards: ForwardBook
    own_names: OwnNames
    name_of: NameOf

    @classmethod
    async def load(
        cls,
        store: Store,
        *,
        history_days: int,
        forwards: ForwardBook,
        clock: Clock,
        name_of: NameOf,
        turn: Turn,
    ) -> "People":
        """Read what must be at hand at once."""
        settings = UserSettings(store, turn)
        await settings.load()
        await forwards.load()
        return cls(
            settings=settings,
            history=History(store, days=history_days, clock=clock),
            forwards=forwards,
            own_names=store.own_names,
            name_of=name_of,
        )
