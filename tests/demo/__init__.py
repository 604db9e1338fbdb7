"""Tests of the demo: its parts without a network, and the whole of it once."""
