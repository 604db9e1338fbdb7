"""Ids, clock, entropy, verdicts and redacted values: what every other package may use, and nothing else."""
