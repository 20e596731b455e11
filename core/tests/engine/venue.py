"""A small venue on a bad line: it works orders honestly, but what it says may come late, twice or reordered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from quarterdeck.domain import report as r
from quarterdeck.domain.order import OrderRole, OrderTerms, OrderType
from quarterdeck.engine.effects import AmendAtVenue, CancelAtVenue, SendOrder


@dataclass
class Working:
    """An order as the venue has it."""

    terms: OrderTerms
    filled: Decimal = Decimal(0)
    is_open: bool = True
    sibling: str = ""

    @property
    def leaves(self) -> Decimal:
        return self.terms.quantity - self.filled


class Venue:
    """Whatever it says lies on `wire` until somebody delivers it; `said` is all it ever said."""

    def __init__(self) -> None:
        self.orders: dict[str, Working] = {}
        self.wire: list[r.Report] = []
        self.said: list[r.Report] = []
        self.trades = 0

    def say(self, report: r.Report) -> None:
        self.wire.append(report)
        self.said.append(report)

    def working(self) -> list[str]:
        """Link ids of what may still trade."""
        return [link for link, order in self.orders.items() if order.is_open]

    def place(self, effect: SendOrder, how: str, now: int) -> None:
        """Take an order in, refuse it, or lose the answer, the request or both."""
        link = effect.link_id
        assert link not in self.orders, f"{link} was sent twice"
        if how == "rejected":
            self.say(r.Rejected(link, "no", now))
            return
        if how == "never left":
            self.say(r.NotSent(link, "no connection", now))
            return
        if how in ("lost", "answer lost"):
            self.say(r.Unknown(link, "timeout", now))
        if how == "lost":
            self.say(r.Absent(link, "asked", now))
            return
        self.orders[link] = Working(effect.terms)
        self.say(r.Acked(link, f"x-{link}", now))
        self.say(r.Opened(link, f"x-{link}", now))

    def cancel(self, effect: CancelAtVenue, now: int) -> None:
        order = self.orders.get(effect.link_id)
        if order is None or not order.is_open:
            self.say(r.CancelRejected(effect.link_id, "not working", now))
            return
        order.is_open = False
        self.say(r.Canceled(effect.link_id, "as asked", now))

    def amend(self, effect: AmendAtVenue, now: int) -> None:
        order = self.orders.get(effect.link_id)
        if order is None or not order.is_open or (effect.quantity is not None and effect.quantity <= order.filled):
            self.say(r.AmendRejected(effect.link_id, "no", now))
            return
        order.terms = replace(
            order.terms,
            quantity=effect.quantity or order.terms.quantity,
            limit_price=effect.limit_price or order.terms.limit_price,
            trigger_price=effect.trigger_price or order.terms.trigger_price,
        )
        self.say(r.Amended(effect.link_id, now, effect.quantity, effect.limit_price, effect.trigger_price))

    def expire(self, link: str, now: int) -> None:
        self.orders[link].is_open = False
        self.say(r.Expired(link, "IOC", now))

    def lose(self, link: str, now: int) -> None:
        """An order ends without anybody having asked."""
        self.orders[link].is_open = False
        self.say(r.Canceled(link, "CancelByAdmin", now))

    def trade(self, link: str, quantity: Decimal, price: Decimal, now: int) -> None:
        """Fill some of an order, and open what protects it."""
        order = self.orders[link]
        quantity = min(quantity, order.leaves)
        order.filled += quantity
        order.is_open = order.leaves > 0
        self.trades += 1
        terms = order.terms
        fee = quantity * price * Decimal("0.00055")
        trade = f"t{self.trades}"
        self.say(
            r.Filled(
                link,
                trade,
                terms.symbol,
                terms.side,
                quantity,
                price,
                fee,
                "USDT",
                r.Liquidity.TAKER,
                now,
                exchange_order_id=f"x-{link}",
            ),
        )
        if order.sibling and order.sibling in self.orders and self.orders[order.sibling].is_open:
            self.orders[order.sibling].is_open = False
            self.say(r.Canceled(order.sibling, "its sibling traded", now))
        self._protect(link, order, now)

    def _protect(self, link: str, parent: Working, now: int) -> None:
        terms = parent.terms
        wanted = (
            ("sl", OrderRole.STOP_LOSS, OrderType.STOP, terms.stop_loss),
            ("tp", OrderRole.TAKE_PROFIT, OrderType.TAKE_PROFIT, terms.take_profit),
        )
        for suffix, role, type_, price in wanted:
            if price is None:
                continue
            child = f"{link}-{suffix}"
            known = self.orders.get(child)
            if known is not None and not known.is_open:
                continue
            sibling = f"{link}-{'tp' if suffix == 'sl' else 'sl'}"
            opened = OrderTerms(
                terms.symbol, terms.side.opposite, type_, parent.filled, trigger_price=price, reduce_only=True
            )
            if known is None:
                self.orders[child] = Working(opened, sibling=sibling)
            else:
                known.terms = opened
            self.say(r.ChildOpened(child, link, f"x-{child}", role, opened, now))
