"""Test calls: what is asked for, what became of it, what that means, and how it is asked for over HTTP."""
