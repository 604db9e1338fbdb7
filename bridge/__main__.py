"""The `trunkline` command, also as `python -m bridge`. Signals are held before the imports, which take seconds."""

import sys

from bridge.core import start_signals


def main() -> None:
    """Run the command that the arguments name; `run` takes signals from here on, and has their effect when it runs."""
    if sys.argv[1:2] == ["run"]:
        start_signals.hold()
    from bridge.cli import main as command

    command()


if __name__ == "__main__":
    main()
