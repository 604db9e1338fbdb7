"""Telephone numbers in canonical form, and who may call which of them. Pure."""
