"""Settings every test of the repository shares."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples on every run: a red test is red for everybody. Search for new ones with HYPOTHESIS_PROFILE=explore.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
