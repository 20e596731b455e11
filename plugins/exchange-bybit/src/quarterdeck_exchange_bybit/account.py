"""Owns bringing one account into a state that can be traded in: its key, its modes, its instruments and fees."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import structlog

from quarterdeck.domain.instrument import Instrument, InstrumentKind
from quarterdeck.plugin import ConfigError
from quarterdeck_exchange_bybit.codec import codes
from quarterdeck_exchange_bybit.codec.account import KeyInfo, read_key_info
from quarterdeck_exchange_bybit.codec.codes import Verdict
from quarterdeck_exchange_bybit.codec.listing import LINEAR, SPOT, Listing, category_of, read_instrument
from quarterdeck_exchange_bybit.codec.orders import decimal_text
from quarterdeck_exchange_bybit.codec.row import Malformed
from quarterdeck_exchange_bybit.rest import Rest, Unreachable
from quarterdeck_exchange_bybit.server_clock import ServerClock
from quarterdeck_exchange_bybit.settings import BybitSettings

log = structlog.get_logger(__name__)

#: A key that ends sooner than this is told of at every start.
EXPIRY_WARNING_DAYS = 14

_CLOCK_SAMPLES = 3
_PORTFOLIO = "PORTFOLIO_MARGIN"
_ONE_WAY = 0


class Account:
    """What has to be true of an account before it is traded."""

    def __init__(self, settings: BybitSettings, rest: Rest, clock: ServerClock) -> None:
        self._settings = settings
        self._rest = rest
        self._clock = clock
        self.key: KeyInfo | None = None

    async def sample_clock(self) -> None:
        """Ask Bybit what time it is. Raises Unreachable."""
        sent = time.monotonic_ns()
        result = await self._rest.read("get_server_time")
        received = time.monotonic_ns()
        try:
            self._clock.sample(sent, result.integer("timeNano"), received)
        except Malformed as error:
            raise Unreachable(str(error)) from error

    async def check(self) -> None:
        """See that the key is the right one and may do what it has to, and nothing it must not.

        Raises:
            ConfigError: it is not.
            Unreachable: Bybit did not say.
        """
        for _ in range(_CLOCK_SAMPLES):
            await self.sample_clock()
        if not self._clock.is_trusted:
            raise Unreachable("the time of Bybit's server can't be told: answers take too long")
        if self._clock.problem:
            raise Unreachable(self._clock.problem)
        try:
            key = read_key_info(await self._rest.read("get_api_key_information"))
        except Malformed as error:
            raise Unreachable(str(error)) from error
        self.key = key
        problem = self._problem(key)
        if problem:
            raise ConfigError(f"exchange: {problem}")
        self._warn(key)
        info = await self._rest.read("get_account_info")
        if info.text_or("marginMode") == _PORTFOLIO:
            raise ConfigError("exchange: the account is in portfolio margin mode; use cross or isolated margin")

    def _problem(self, key: KeyInfo) -> str:
        settings = self._settings
        if settings.user_id is not None and key.user_id != settings.user_id:
            return f"the key belongs to account {key.user_id}, and user_id says {settings.user_id}"
        if key.is_read_only:
            return "the key may only read"
        if not key.is_unified:
            return "the account is no unified trading account"
        if key.can_withdraw and not settings.accept_withdrawal_rights:
            return "the key may withdraw money; make one that can only trade"
        kinds = {_kind_of(symbol) for symbol in settings.symbols}
        if LINEAR in kinds and not key.can_trade_contracts:
            return "the key may not trade contracts (permissions Order and Position)"
        if SPOT in kinds and not key.can_trade_spot:
            return "the key may not trade spot (permission SpotTrade)"
        return ""

    def _warn(self, key: KeyInfo) -> None:
        if not key.is_bound:
            log.warning("bybit_key_not_bound", hint="bind the key to this machine's address; unbound keys expire")
        if key.expires is not None:
            left = key.expires - datetime.now(UTC)
            if left.days < EXPIRY_WARNING_DAYS:
                log.warning("bybit_key_expires", days=left.days, at=key.expires.isoformat())

    # ------------------------------------------------------------ instruments

    async def instruments(self) -> Sequence[Instrument]:
        """What the settings name, with filters and fees.

        Raises:
            ConfigError: Bybit does not list one of them, or it can't be traded now.
            Unreachable: Bybit did not say.
        """
        found = await self._listed()
        missing = set(self._settings.symbols) - {one.symbol for one in found}
        if missing:
            raise ConfigError(f"exchange: symbols: {', '.join(sorted(missing))} can't be traded at Bybit")
        return found

    async def relisted(self, known: Listing) -> Sequence[Instrument]:
        """The same instruments as they are by now. One that can't be traded any more can still be reduced.

        Raises:
            Unreachable: Bybit did not say.
        """
        now = {one.symbol: one for one in await self._listed()}
        return [now.get(one.symbol) or replace(one, reduce_only=True) for one in known]

    async def _listed(self) -> Sequence[Instrument]:
        wanted = set(self._settings.symbols)
        found: list[Instrument] = []
        for category in sorted({_kind_of(symbol) for symbol in wanted}):
            rows = await self._rest.pages("get_instruments_info", category=category, limit=1000)
            fees = await self._fees(category)
            for row in rows:
                try:
                    instrument = read_instrument(row, category)
                except Malformed:
                    continue  # one that can't be read is not among those that are traded, or it is missed below
                if instrument is not None and instrument.symbol in wanted:
                    maker, taker = fees.get(
                        instrument.venue_symbol, (instrument.maker_fee_rate, instrument.taker_fee_rate)
                    )
                    found.append(replace(instrument, maker_fee_rate=maker, taker_fee_rate=taker))
        return found

    async def _fees(self, category: str) -> dict[str, tuple[Decimal, Decimal]]:
        result = await self._rest.read("get_fee_rates", category=category)
        return {
            row.text("symbol"): (row.number("makerFeeRate"), row.number("takerFeeRate"))
            for row in result.rows("list")
            if row.text_or("symbol")
        }

    # ------------------------------------------------------------ modes

    async def set_modes(self, listing: Listing) -> None:
        """One-way positions, and margin mode and leverage as configured.

        Raises:
            ConfigError: Bybit refuses; the text says what and why.
            Unreachable: it is not known whether it was done.
        """
        if any(one.kind is InstrumentKind.LINEAR for one in listing):
            await self._set("switch_position_mode", category=LINEAR, coin=self._settings.settle, mode=_ONE_WAY)
        if self._settings.margin_mode is not None:
            await self._set("set_margin_mode", setMarginMode=self._settings.margin_mode.value)
        for symbol, leverage in self._settings.leverage.items():
            instrument, text = listing[symbol], decimal_text(leverage)
            await self._set(
                "set_leverage",
                category=category_of(instrument.kind),
                symbol=instrument.venue_symbol,
                buyLeverage=text,
                sellLeverage=text,
            )
            await asyncio.sleep(0.1)  # ten a second are allowed

    async def _set(self, method: str, **params: str | int) -> None:
        """Set something that may be set again without harm."""
        written = await self._rest.write(method, params, reduces=True)
        if written.verdict is Verdict.TAKEN or written.code in codes.UNCHANGED:
            return
        text = f"{method}: {written.code} {written.text}"
        if written.verdict is Verdict.REFUSED and written.left:
            raise ConfigError(f"exchange: Bybit refuses {text}")
        raise Unreachable(text)


def _kind_of(symbol: str) -> str:
    return SPOT if symbol.endswith("-spot") else LINEAR
