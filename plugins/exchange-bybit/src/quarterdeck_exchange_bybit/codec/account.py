"""Owns what Bybit says an account holds: positions, balances, its modes, and what its key may do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO, plain
from quarterdeck.domain.venue import VenuePosition
from quarterdeck_exchange_bybit.codec import words
from quarterdeck_exchange_bybit.codec.listing import Listing
from quarterdeck_exchange_bybit.codec.row import Malformed, Row

_ONE_WAY = 0


@dataclass(frozen=True, slots=True)
class PositionRow:
    """A position, flat ones included. `side_index` is 0 in one-way mode, the only one that is traded in here."""

    position: VenuePosition
    side_index: int
    leverage: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    trailing_stop: Decimal | None
    status: str
    update_time: int


def read_position(row: Row, listing: Listing, category: str = "") -> PositionRow:
    """One row of the position topic or of `/v5/position/list`. The topic calls the average price `entryPrice`."""
    instrument = listing.of(row, category)
    size = row.number_or("size") or ZERO
    if size < 0:
        raise Malformed(f"{row.where}.size", row.raw("size"), "a size without sign")
    price = row.price_or("avgPrice") or row.price_or("entryPrice")
    if size and price is None:
        raise Malformed(f"{row.where}.avgPrice", row.raw("avgPrice"), "a price")
    quantity = size * words.side(row).sign if size else ZERO
    return PositionRow(
        VenuePosition(instrument.symbol, plain(quantity), price or ZERO),
        row.integer("positionIdx"),
        row.number_or("leverage"),
        row.price_or("stopLoss"),
        row.price_or("takeProfit"),
        row.price_or("trailingStop"),
        row.text_or("positionStatus"),
        row.time("updatedTime") if row.text_or("updatedTime") else 0,
    )


def read_balances(row: Row) -> Iterator[tuple[str, Decimal]]:
    """Wallet balance per coin from one account of the wallet topic or of `/v5/account/wallet-balance`.

    What was borrowed is in it: a debt is a negative balance.
    """
    for coin in row.rows("coin"):
        yield coin.text("coin"), plain(coin.number_or("walletBalance") or ZERO)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What an API key is and may do."""

    user_id: int
    is_read_only: bool
    can_trade_contracts: bool
    can_trade_spot: bool
    can_withdraw: bool
    can_transfer: bool
    addresses: tuple[str, ...]
    expires: datetime | None
    is_unified: bool

    @property
    def is_bound(self) -> bool:
        """Whether it works from named addresses only; one that is not bound ends after some months."""
        return bool(self.addresses) and self.addresses != ("*",)


def read_key_info(row: Row) -> KeyInfo:
    """The answer of `/v5/user/query-api`."""
    permissions = row.row("permissions")

    def may(group: str, right: str) -> bool:
        granted = permissions.raw(group)
        return isinstance(granted, list) and right in granted

    wallet = permissions.raw("Wallet")
    expires = row.text_or("expiredAt")
    return KeyInfo(
        user_id=row.integer("userID"),
        is_read_only=row.integer("readOnly") == 1,
        can_trade_contracts=may("ContractTrade", "Order") and may("ContractTrade", "Position"),
        can_trade_spot=may("Spot", "SpotTrade"),
        can_withdraw=may("Wallet", "Withdraw"),
        can_transfer=isinstance(wallet, list) and any("Transfer" in str(right) for right in wallet),
        addresses=tuple(str(each) for each in row.list("ips")) if "ips" in row else (),
        expires=_moment(expires, f"{row.where}.expiredAt"),
        is_unified=bool(row.integer("uta")) if "uta" in row else False,
    )


def _moment(text: str, where: str) -> datetime | None:
    if not text or text.startswith("1970"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Malformed(where, text, "a moment") from None
