"""How long tests wait for what others do."""

PATIENCE_S = 30.0
"""For what does come: only a test that fails waits for so long, and a busy machine must not fail one."""
