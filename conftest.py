"""How hard hypothesis searches: as usual, or, with HYPOTHESIS_PROFILE=fuzz, for a thousand examples a property."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("fuzz", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
