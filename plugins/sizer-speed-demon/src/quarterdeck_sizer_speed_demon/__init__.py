"""Speed demon: a sizer that risks a smaller part of a larger account, along a published curve.

Owns the curve, its settings and the step from a risk to a quantity. Must not know: the engine, the daemon, the wire.

Reading order: settings, curve, sizer.
"""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.plugin import Factory, Sizer, hookimpl
from quarterdeck_sizer_speed_demon.settings import SpeedDemonSettings
from quarterdeck_sizer_speed_demon.sizer import SpeedDemon

#: The version of the plugin interface this was written for.
QUARTERDECK_API = 1


@hookimpl
def quarterdeck_sizers() -> Sequence[Factory[Sizer]]:
    """Offer the sizer under the name `speed-demon`."""
    return [
        Factory(
            name="speed-demon",
            settings=SpeedDemonSettings,
            build=SpeedDemon,
            summary="Risks 2 % of a small account, falling to 0.5 % of a large one",
        )
    ]
