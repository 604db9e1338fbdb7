"""The one place that wires everything: events in, calls fed, commands carried out."""

from bridge.app.process import run

__all__ = ["run"]
