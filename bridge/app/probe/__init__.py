"""Calls that try out the bridge: placed as a user's, with a client of our own, and measured both ways."""
