"""Histories of one account, made up move by move, and what a daemon would list at any place in them.

What is listed is found by looking through the whole history for each answer, never by folding: the state under test has
to come to the same by another way.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

from clients.python.tests.messages import ORDER, at, envelope, number, order
from quarterdeck.v1 import account_pb2, event_pb2, fill_pb2, ledger_pb2, order_pb2, position_pb2, risk_pb2, signal_pb2

ENDED = (ORDER.STATE_FILLED, ORDER.STATE_CANCELED, ORDER.STATE_EXPIRED, ORDER.STATE_REJECTED, ORDER.STATE_NOT_SENT)
ENDINGS = {
    "order_canceled": ORDER.STATE_CANCELED,
    "order_expired": ORDER.STATE_EXPIRED,
    "order_rejected": ORDER.STATE_REJECTED,
    "order_not_sent": ORDER.STATE_NOT_SENT,
}
STATES = ENDINGS | {
    "order_sent": ORDER.STATE_SENT,
    "order_acked": ORDER.STATE_ACKED,
    "order_opened": ORDER.STATE_OPEN,
    "order_unknown": ORDER.STATE_UNKNOWN,
}
TOUCHING = ("order_triggered", "order_cancel_requested", "order_cancel_rejected")
INSTRUMENTS = ("btcusdt", "ethusdt-spot")


def exact(message: Any) -> Decimal:
    """The number in a message."""
    return Decimal(message.value)


class AccountHistory:
    """A journal of one account, from its opening."""

    def __init__(self, seed: int, length: int) -> None:
        self._random = Random(seed)
        self.envelopes: list[event_pb2.Envelope] = []
        opened = event_pb2.AccountOpened(account="accounts/main", settle="USDT")
        opened.balances.add(currency="USDT", wallet=number(10_000))
        self._record(account_opened=opened)
        while len(self.envelopes) < length:
            self._move()

    # ------------------------------------------------------------ making it up

    def _record(self, **event: Any) -> None:
        self.envelopes.append(envelope(len(self.envelopes) + 1, **event))

    def _move(self) -> None:
        known = self.orders(len(self.envelopes))
        working = [each for each in known if each.state not in ENDED]
        moves = (
            ["prepare", "else"] + ["work"] * 3 * bool(working) + ["fill"] * 3 * bool(working) + ["late"] * bool(known)
        )
        getattr(self, f"_{self._random.choice(moves)}")(known, working)

    def _prepare(self, known: list[order_pb2.Order], _: list[order_pb2.Order]) -> None:
        adopted = self._random.random() < 0.2
        new = order(
            str(len(known) + 1),
            instrument=f"instruments/{self._random.choice(INSTRUMENTS)}",
            side=self._random.choice([ORDER.SIDE_BUY, ORDER.SIDE_SELL]),
            quantity=number(self._random.randint(1, 9)),
            state=ORDER.STATE_OPEN if adopted else ORDER.STATE_PREPARED,
        )
        for unsaid in ("create_time", "update_time", "filled_quantity", "fees"):
            new.ClearField(unsaid)  # events don't tell what follows from them
        if adopted:
            self._record(order_adopted=event_pb2.OrderAdopted(order=new))
        else:
            self._record(order_prepared=event_pb2.OrderPrepared(order=new, reference_price=number(1)))

    def _work(self, _: list[order_pb2.Order], working: list[order_pb2.Order]) -> None:
        chosen = self._random.choice(working)
        kind = self._random.choice([*STATES, *TOUCHING, "order_amended", "order_adopted"])
        shape = event_pb2.Envelope.DESCRIPTOR.fields_by_name[kind].message_type
        message = getattr(event_pb2, shape.name if shape else "")()
        if kind == "order_adopted":
            chosen.quantity.value = str(int(chosen.quantity.value) + 1)
            message.order.CopyFrom(chosen)
        else:
            message.order = chosen.name
        for field, value in (("reason", "so"), ("detail", "so"), ("exchange_order_id", "X")):
            if hasattr(message, field):
                setattr(message, field, value)
        if hasattr(message, "filled_quantity"):
            message.filled_quantity.CopyFrom(chosen.filled_quantity)
        if kind == "order_amended":
            message.quantity.value = str(int(chosen.quantity.value) + self._random.randint(1, 3))
        self._record(**{kind: message})

    def _fill(self, _: list[order_pb2.Order], working: list[order_pb2.Order]) -> None:
        chosen = self._random.choice(working)
        quantity = self._random.randint(1, int(exact(chosen.quantity) - exact(chosen.filled_quantity)))
        self._trade(chosen, quantity)

    def _late(self, known: list[order_pb2.Order], _: list[order_pb2.Order]) -> None:
        ended = [each for each in known if each.state in {ORDER.STATE_CANCELED, ORDER.STATE_EXPIRED}]
        if ended and exact(ended[-1].quantity) > exact(ended[-1].filled_quantity):
            self._trade(ended[-1], 1)

    def _trade(self, of: order_pb2.Order, quantity: int) -> None:
        sequence = len(self.envelopes)
        filled = exact(of.filled_quantity) + quantity
        price = Decimal(self._random.randint(1, 1000)) / 7
        price = price.quantize(Decimal("0.01")) or Decimal(1)
        state = of.state if of.state in ENDED else ORDER.STATE_PARTIALLY_FILLED
        held = self._held(of.instrument, sequence) + (quantity if of.side == ORDER.SIDE_BUY else -quantity)
        message = event_pb2.OrderFilled(
            fill=fill_pb2.Fill(
                order=of.name,
                instrument=of.instrument,
                side=of.side,
                quantity=number(quantity),
                price=number(price),
                fee=number("0.01"),
                fee_currency="USDT",
                liquidity=fill_pb2.Fill.LIQUIDITY_TAKER,
                cause=fill_pb2.Fill.CAUSE_ORDER,
                realized_pnl=number(3),
                exchange_trade_id=f"t{sequence}",
                exchange_time=at(sequence),
            ),
            order_state=ORDER.STATE_FILLED if filled == exact(of.quantity) else state,
            filled_quantity=number(filled),
            position_quantity=number(held),
        )
        if held:
            message.position_average_price.value = str(price)
        book = ledger_pb2.Posting
        for entry, currency, amount in (
            (book.BOOK_WALLET, "USDT", 3),
            (book.BOOK_TRADING, "USDT", -3),
            (book.BOOK_WALLET, "USDT", "-0.01"),
            (book.BOOK_FEES, "USDT", "0.01"),
            (book.BOOK_WALLET, "ETH", quantity),
            (book.BOOK_TRADING, "ETH", -quantity),
        ):
            message.postings.add(book=entry, currency=currency, amount=number(amount))
        self._record(order_filled=message)

    def _else(self, *_: object) -> None:
        sequence = len(self.envelopes)
        kind = self._random.randrange(5)
        if kind == 0:
            self._record(funding_paid=event_pb2.FundingPaid(
                instrument="instruments/btcusdt", amount=number("-0.5"), rate=number("0.0001"),
                position_quantity=number(1), exchange_time=at(sequence),
            ))  # fmt: skip
        elif kind == 1:
            wallet = self.wallets(sequence)["USDT"] + 100
            self._record(balance_adjusted=event_pb2.BalanceAdjusted(
                currency="USDT", amount=number(100), wallet=number(wallet)
            ))  # fmt: skip
        elif kind == 2:
            state = self._random.choice([risk_pb2.TRADING_STATE_ACTIVE, risk_pb2.TRADING_STATE_HALTED])
            self._record(trading_state_changed=event_pb2.TradingStateChanged(state=state))
        elif kind == 3:
            amounts: dict[str, Any] = dict.fromkeys(
                ("equity", "wallet_balance", "unrealized_pnl", "realized_pnl", "fees", "funding", "drawdown"),
                number(sequence),
            )
            self._record(portfolio_snapshot_taken=event_pb2.PortfolioSnapshotTaken(
                **amounts, peak_equity=number(1), risk_ratio=number("0.02")
            ))  # fmt: skip
        else:
            self._record(signal_dropped=event_pb2.SignalDropped(bot="bots/demo", action=signal_pb2.SIGNAL_ACTION_EXIT))

    # ------------------------------------------------------------ what a daemon would list

    def _until(self, sequence: int, *kinds: str) -> Iterator[tuple[event_pb2.Envelope, Any]]:
        for each in self.envelopes[:sequence]:
            kind = each.WhichOneof("event")
            if kind in kinds:
                yield each, getattr(each, kind)

    def orders(self, sequence: int, *, open_only: bool = False) -> list[order_pb2.Order]:
        """All orders there are at that place."""
        names = []
        for _, event in self._until(sequence, "order_prepared", "order_adopted"):
            if event.order.name not in names:
                names.append(event.order.name)
        listed = [self._order(name, sequence) for name in names]
        return [each for each in listed if not (open_only and each.state in ENDED)]

    def _order(self, name: str, sequence: int) -> order_pb2.Order:
        begun = [
            (each, event.order)
            for each, event in self._until(sequence, "order_prepared", "order_adopted")
            if event.order.name == name
        ]
        found = order_pb2.Order()
        found.CopyFrom(begun[0][1])
        found.create_time.CopyFrom(begun[0][0].record_time)
        found.update_time.CopyFrom(begun[-1][0].record_time)
        trades = [(each, event) for each, event in self._until(sequence, "order_filled") if event.fill.order == name]
        quantity = sum((exact(event.fill.quantity) for _, event in trades), Decimal(0))
        value = sum((exact(event.fill.quantity) * exact(event.fill.price) for _, event in trades), Decimal(0))
        found.filled_quantity.value = str(quantity)
        found.fees.value = str(sum((exact(event.fill.fee) for _, event in trades), Decimal(0)))
        if quantity:
            found.average_price.value = format((value / quantity).quantize(Decimal("1e-18")), "f")
        for each, event in self._until(sequence, *STATES, *TOUCHING, "order_amended", "order_adopted", "order_filled"):
            kind = each.WhichOneof("event") or ""
            about = {"order_filled": lambda e: e.fill.order, "order_adopted": lambda e: e.order.name}
            if about.get(kind, lambda e: e.order)(event) != name:
                continue
            found.update_time.CopyFrom(each.record_time)
            found.state = STATES.get(kind, event.order_state if kind == "order_filled" else found.state)
            if kind in STATES:
                found.reason = getattr(event, "reason", "") or getattr(event, "detail", "") or found.reason
            found.exchange_order_id = getattr(event, "exchange_order_id", "") or found.exchange_order_id
            if kind == "order_amended":
                found.quantity.CopyFrom(event.quantity)
            if kind == "order_adopted":
                found.quantity.CopyFrom(event.order.quantity)
        return found

    def _held(self, instrument: str, sequence: int) -> Decimal:
        return sum(
            (
                exact(event.fill.quantity) * (1 if event.fill.side == ORDER.SIDE_BUY else -1)
                for _, event in self._until(sequence, "order_filled")
                if event.fill.instrument == instrument
            ),
            Decimal(0),
        )

    def positions(self, sequence: int) -> list[position_pb2.Position]:
        """The positions that are not flat at that place."""
        listed = []
        for name in INSTRUMENTS:
            instrument = f"instruments/{name}"
            quantity = self._held(instrument, sequence)
            trades = [
                (each, event)
                for each, event in self._until(sequence, "order_filled")
                if event.fill.instrument == instrument
            ]
            if quantity:
                listed.append(
                    position_pb2.Position(
                        name=f"accounts/main/positions/{name}",
                        instrument=instrument,
                        quantity=number(quantity),
                        average_price=trades[-1][1].position_average_price,
                        realized_pnl=number(0),
                        fees=number(0),
                        funding=number(0),
                        update_time=trades[-1][0].record_time,
                    )
                )
        return listed

    def wallets(self, sequence: int) -> dict[str, Decimal]:
        """What is in each wallet at that place."""
        wallets: dict[str, Decimal] = {"USDT": Decimal(10_000)} if sequence else {}
        for _, event in self._until(sequence, "balance_adjusted"):
            wallets[event.currency] += exact(event.amount)
        for _, event in self._until(sequence, "funding_paid"):
            wallets["USDT"] += exact(event.amount)
        for _, event in self._until(sequence, "order_filled"):
            for posting in event.postings:
                if posting.book == ledger_pb2.Posting.BOOK_WALLET:
                    wallets[posting.currency] = wallets.get(posting.currency, Decimal(0)) + exact(posting.amount)
        return wallets

    def overview(self, sequence: int) -> account_pb2.AccountOverview:
        """The overview at that place, as far as it follows from events."""
        trading = [event.state for _, event in self._until(sequence, "trading_state_changed")]
        amounts: dict[str, Any] = dict.fromkeys(
            (
                "equity",
                "wallet_balance",
                "unrealized_pnl",
                "realized_pnl_today",
                "drawdown",
                "peak_equity",
                "risk_ratio",
                "max_risk_amount",
            ),
            number(0),
        )
        return account_pb2.AccountOverview(
            account=account_pb2.Account(name="accounts/main", settle="USDT"),
            balances=[
                account_pb2.Balance(currency=currency, wallet=number(amount))
                for currency, amount in self.wallets(sequence).items()
            ],
            trading_state=trading[-1] if trading else risk_pb2.TRADING_STATE_ACTIVE,
            **amounts,
        )
