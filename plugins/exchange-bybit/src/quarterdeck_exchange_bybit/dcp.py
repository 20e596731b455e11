"""Owns disconnection protection (DCP): Bybit cancels an account's orders when it has not been heard for some seconds.

It is for the whole account, is not offered to most, stays set, and may take stops away, too: nothing here relies on
it. Bybit needs some seconds to act on a setting, and does not say that it has, so what is set is read back again and
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.listing import LINEAR, SPOT
from quarterdeck_exchange_bybit.codec.row import Malformed
from quarterdeck_exchange_bybit.rest import Rest, Unreachable

log = structlog.get_logger(__name__)

#: Bybit's name for what is protected, and the topic that has to be listened to for it, by category.
PRODUCTS = {LINEAR: ("DERIVATIVES", "dcp.future"), SPOT: ("SPOT", "dcp.spot")}

#: How long a setting takes to be one.
SETTLE_SECONDS = 10.0

#: How often it is looked at again: somebody may have changed it in the app.
AGAIN_SECONDS = 300.0


def topics(categories: Iterable[str]) -> Sequence[str]:
    """What has to be listened to."""
    return [PRODUCTS[category][1] for category in categories]


class Protection:
    """Keeps it set for an account. `refused` are the topics that could not be listened to."""

    def __init__(
        self, rest: Rest, seconds: int, categories: Iterable[str], refused: Callable[[], Mapping[str, str]]
    ) -> None:
        self.state = "being set"
        """How it is, for people."""
        self._rest = rest
        self._seconds = seconds
        self._products = [PRODUCTS[category] for category in categories]
        self._refused = refused

    async def run(self) -> None:
        """Set it, see that it is set, and set it again where it is not."""
        while True:
            try:
                state = self._refusal() or (await self._missing() and await self._set())
                if not state:
                    await asyncio.sleep(SETTLE_SECONDS)
                    missing = await self._missing()
                    names = ", ".join(product for product, _ in self._products)
                    state = f"not in force: {missing}" if missing else f"on: {self._seconds} s for {names}"
            except (Unreachable, Malformed) as error:
                state = f"not known: {error}"
            if state != self.state:
                log.info("bybit_disconnection_protection", state=state)
                self.state = state
            await asyncio.sleep(AGAIN_SECONDS)

    async def _missing(self) -> str:
        """What is not as it was set; empty if all of it is."""
        told = (await self._rest.read("query_dcp_info")).rows("dcpInfos")
        on = [row for row in told if row.text_or("dcpStatus") == "ON"]
        windows = {row.text_or("product"): str(row.raw("timeWindow")) for row in on}
        return "; ".join(
            f"{product} is {windows.get(product, 'off')}"
            for product, _ in self._products
            if windows.get(product) != str(self._seconds)
        )

    def _refusal(self) -> str:
        """Why it would not act; empty if it would."""
        refused = self._refused()
        return next(
            (f"not available: {topic}: {refused[topic]}" for _, topic in self._products if topic in refused), ""
        )

    async def _set(self) -> str:
        """Ask for it; returns why it can't be had, or nothing."""
        for product, _ in self._products:
            wanted = {"product": product, "timeWindow": self._seconds}
            written = await self._rest.write("set_dcp", wanted, reduces=True)
            if written.verdict is not Verdict.TAKEN:
                return f"not available: {written.code} {written.text}"[:200]
        return ""
