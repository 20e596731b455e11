"""Owns a paper venue that is asked over a wire, so to speak: an order is queued, announced and sent, each by itself.

It is a plugin of its own. A daemon finds it where the nursery has put it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.domain.report import Outcome
from quarterdeck.plugin import AmendOrder, CancelOrder, Capabilities, Exchange, Factory, PlaceOrder, hookimpl
from quarterdeck_exchange_paper import PaperExchange, PaperSettings

QUARTERDECK_API = 1

#: One way of the wire.
SECONDS = 0.001


class PatientExchange(PaperExchange):
    """Paper, but nothing is immediate."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, immediate=False)

    async def place(self, order: PlaceOrder) -> Outcome:
        await asyncio.sleep(SECONDS)
        outcome = await super().place(order)
        await asyncio.sleep(SECONDS)
        return outcome

    async def cancel(self, order: CancelOrder) -> None:
        await asyncio.sleep(SECONDS)
        await super().cancel(order)

    async def amend(self, order: AmendOrder) -> None:
        await asyncio.sleep(SECONDS)
        await super().amend(order)


@hookimpl
def quarterdeck_exchanges() -> Sequence[Factory[Exchange]]:
    return [Factory(name="patient", settings=PaperSettings, build=PatientExchange, summary="Paper, after a while")]
