"""Matrix clients by script: each reacts to a room's events as the real one does, with what that one cannot bear."""
