"""How thoroughly property tests look: a little in every run, for long in `make fuzz`."""

import os

from hypothesis import HealthCheck, settings

# A busy machine must not fail a test, so no example has a time limit.
settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "fuzz",
    parent=settings.get_profile("quick"),
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "20000")),
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
