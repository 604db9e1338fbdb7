"""Benchmarks: each module has `run() -> list[Row]`; `python -m tests.bench` runs them all."""
