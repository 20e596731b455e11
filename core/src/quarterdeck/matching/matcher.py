"""Owns how a moving price meets orders: what it reaches, in which order, and at what price that trades.

Prices jump (the open of a candle, a quote, a trade) or travel (inside a candle). A jump reaches everything between the
old price and the new at the new price; travelling reaches each level in turn, at the level.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter

from quarterdeck.domain.amounts import from_observation
from quarterdeck.domain.market import Candle, Quote, Trade
from quarterdeck.domain.order import TimeInForce
from quarterdeck.domain.report import Amended, Liquidity, Triggered
from quarterdeck.matching.book import Book, Request
from quarterdeck.matching.execution import Execution
from quarterdeck.matching.intake import post_only_crosses, start_trailing, take_in, trailed
from quarterdeck.matching.liquidation import liquidate
from quarterdeck.matching.order import BookOrder
from quarterdeck.matching.path import Leg, legs_of
from quarterdeck.matching.protection import after_trade
from quarterdeck.matching.reasons import Reason

_number = attrgetter("number")


class Matcher:
    """Moves the price of a book and does what it meets."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._account = execution.account
        self._participation = execution.settings.participation
        self._improves = False

    # --- market events

    def candle(self, book: Book, candle: Candle) -> None:
        """Take a book through a candle."""
        end = candle.open_time + candle.interval
        if book.requests:
            self._let_in(book, candle.open_time)
        self._execution.now = candle.open_time
        book.buy_room = book.sell_room = book.offer(candle.volume, self._participation)
        self._improves = True
        self._jump(book, candle.open, candle.open, strictly=False)
        self._improves = False
        self.settle(book)
        is_busy = book.starved or (book.requests and book.requests[0].time < end)
        if is_busy or candle.low <= book.wake_below or candle.high >= book.wake_above:
            for leg in legs_of(candle, book.quantity):
                self._walk(book, leg)
            self._end(book, candle.close, candle.close, end)
        else:
            if book.trailing:
                self.tell_triggers(book)
            book.show(candle.close, candle.close, end)

    def quote(self, book: Book, quote: Quote) -> None:
        """Take a book to a quote: a resting limit fills when the other side is quoted at it."""
        self._let_in(book, quote.time)
        self._execution.now = quote.time
        book.buy_room = book.offer(quote.ask_size, self._participation)
        book.sell_room = book.offer(quote.bid_size, self._participation)
        self._jump(book, quote.bid, quote.ask, strictly=False)
        self._end(book, quote.bid, quote.ask, quote.time)

    def trade(self, book: Book, trade: Trade) -> None:
        """Take a book to a trade on the tape."""
        self._let_in(book, trade.time)
        self._execution.now = trade.time
        book.buy_room = book.sell_room = book.offer(trade.size, self._participation)
        self._jump(book, trade.price, trade.price, strictly=True)
        self._end(book, trade.price, trade.price, trade.time)

    def settle(self, book: Book) -> None:
        """Once something has changed: liquidate if margin has run out, then let the books sleep again."""
        account, currency = self._account, book.instrument.settle
        if account.watch(currency) and account.excess_margin(currency) <= 0:
            liquidate(self._execution, book)
            account.watch(currency)
        for other in account.contracts(currency):
            if other.quantity and other is not book:
                other.arm()
        book.arm()

    def _end(self, book: Book, bid: float, ask: float, time: int) -> None:
        """End an event: what was out of reach rests again, trailing stops tell where they stand."""
        self._execution.now = time
        starved, book.starved = book.starved, []
        for order in starved:
            book.rest(order)
        book.show(bid, ask, time)
        self.tell_triggers(book)
        self.settle(book)

    def tell_triggers(self, book: Book) -> None:
        """Report where trailing stops stand, if they have moved since the last report."""
        for order in sorted(book.trailing.values(), key=_number):
            self._tell_trigger(order)

    def _tell_trigger(self, order: BookOrder) -> None:
        if order.trigger_price != order.told_trigger:
            order.told_trigger = order.trigger_price
            self._execution.reports.append(
                Amended(order.link_id, self._execution.now, trigger_price=order.trigger_price),
            )

    def _let_in(self, book: Book, until: int) -> None:
        """Let requests in that have arrived by a time."""
        while (request := book.next_request(until + 1)) is not None:
            self._take_in(book, request)

    def _take_in(self, book: Book, request: Request) -> None:
        self._execution.now = request.time
        take_in(self._execution, book, request)

    # --- moving the price

    def _jump(self, book: Book, bid: float, ask: float, *, strictly: bool) -> None:
        book.bid, book.ask = bid, ask
        book.at_bid = from_observation(bid)
        book.at_ask = book.at_bid if bid == ask else from_observation(ask)
        if bid <= book.falling.nearest or ask >= book.rising.nearest:
            self._sweep(book, strictly=strictly)
        if book.fresh:
            self._meet_fresh(book)
            if bid <= book.falling.nearest or ask >= book.rising.nearest:
                self._sweep(book, strictly=True)
        if book.trailing:
            self._trail(book)

    def _walk(self, book: Book, leg: Leg) -> None:
        """Travel along a leg, letting in what arrives on the way."""
        while (request := book.next_request(leg.end_time)) is not None:
            passed, leg = leg.split(max(request.time, leg.start_time), book.instrument.tick_size)
            self._execution.now = passed.end_time
            self._travel(book, passed.end)
            self._take_in(book, request)
            self._meet_fresh(book)
        self._execution.now = leg.end_time
        self._travel(book, leg.end)

    def _sweep(self, book: Book, *, strictly: bool) -> None:
        """Do what the current price has reached."""
        while (order := self._reached(book, strictly=strictly)) is not None:
            self._act(book, order)

    def _reached(self, book: Book, *, strictly: bool) -> BookOrder | None:
        bid, ask = _prices(book)
        return book.falling.reached(bid, ask, strictly=strictly) or book.rising.reached(bid, ask, strictly=strictly)

    def _travel(self, book: Book, target: Decimal) -> None:
        """Move to a price in a straight line, doing what lies on the way in the order it is met."""
        while True:
            self._sweep(book, strictly=True)
            current, _ = _prices(book)
            falling = target < current
            ahead = book.falling if falling else book.rising
            order = ahead.reached(target, target, strictly=True)
            if self._runs_out(book, target if order is None else order.level, falling=falling, tie=order is None):
                liquidate(self._execution, book)
            elif order is None:
                break
            else:
                self._place_at(book, order.level)
                self._act(book, order)
        self._place_at(book, target)
        self._trail(book)

    def _runs_out(self, book: Book, level: Decimal, *, falling: bool, tie: bool) -> bool:
        """Stop where margin runs out, if that lies before a level (or, with `tie`, on it)."""
        edge = self._account.liquidation_price(book)
        if edge is None or falling is not (book.quantity > 0):
            return False
        current, _ = _prices(book)
        beyond = edge - level if falling else level - edge
        if beyond < 0 or (not beyond and not tie):
            return False
        self._place_at(book, min(edge, current) if falling else max(edge, current))
        return True

    def _place_at(self, book: Book, price: Decimal) -> None:
        book.at_bid = book.at_ask = price

    def _trail(self, book: Book) -> None:
        for order in book.trailing.values():
            price, trigger = book.price_for(order), order.trigger_price
            assert price is not None, "a price has just been seen"
            assert trigger is not None, f"{order.link_id} trails from nowhere"
            moved = trailed(book, order, price)
            if moved < trigger if order.is_buy else moved > trigger:
                book.set_aside(order)
                order.trigger_price = moved
                book.rest(order)

    # --- meeting orders

    def _act(self, book: Book, order: BookOrder) -> None:
        """An order's level has been reached."""
        book.set_aside(order)
        if not order.awaits_trigger:
            self._fill_resting(book, order)
            return
        if order.is_trailing:
            self._tell_trigger(order)
            del book.trailing[order.link_id]
        order.awaits_trigger = False
        self._execution.reports.append(Triggered(order.link_id, self._execution.now))
        if order.parent_link_id:
            self._execution.end_entry(book, order)
        self._meet(book, order)

    def _meet_fresh(self, book: Book) -> None:
        pending, book.fresh = book.fresh, []
        for order in sorted(pending, key=_number):
            if order.is_open:
                self._meet(book, order)

    def _meet(self, book: Book, order: BookOrder) -> None:
        """An order that may take liquidity meets a price."""
        if order.awaits_trigger:
            start_trailing(book, order)
        elif order.is_post_only and post_only_crosses(book, order):
            self._execution.reject(book, order, Reason.POST_ONLY_WOULD_CROSS)
        elif order.crosses(price := _price_for(book, order)):
            self._take(book, order, price)
        elif order.is_immediate:
            self._execution.expire(book, order)
        else:
            book.rest(order)

    def _take(self, book: Book, order: BookOrder, seen: Decimal) -> None:
        """Trade at the price that is seen, as much as there is room for."""
        execution, room = self._execution, book.room_for(order)
        wanted = order.leaves if room.left is None else min(order.leaves, room.left)
        price = execution.taking_price(book, order, seen, wanted, room.volume)
        quantity = self._affordable(book, order, wanted, price)
        if order.terms.time_in_force is TimeInForce.FOK and quantity < order.leaves:
            execution.expire(book, order)
            return
        self._fill(book, order, quantity, price, Liquidity.TAKER)
        if not order.is_open:
            return
        if quantity < wanted:
            execution.cancel(book, order, Reason.INSUFFICIENT_BALANCE)
        elif order.is_immediate:
            execution.expire(book, order)
        elif order.is_limit:
            book.starved.append(order)
        else:
            book.fresh.append(order)

    def _fill_resting(self, book: Book, order: BookOrder) -> None:
        """A limit order's price has been reached: it trades there, or at the open of a candle that begins beyond it."""
        limit, seen = order.level, _price_for(book, order)
        if self._improves and seen != limit and not order.is_post_only:
            self._take(book, order, seen)
            return
        room = book.room_for(order).left
        wanted = order.leaves if room is None else min(order.leaves, room)
        quantity = self._affordable(book, order, wanted, limit)
        self._fill(book, order, quantity, limit, Liquidity.MAKER)
        if not order.is_open:
            return
        if quantity < wanted:
            self._execution.cancel(book, order, Reason.INSUFFICIENT_BALANCE)
        else:
            book.starved.append(order)

    def _affordable(self, book: Book, order: BookOrder, quantity: Decimal, price: Decimal) -> Decimal:
        """Contracts are held by margin; on spot, the balances must pay for the trade."""
        return self._account.affordable(book, order, quantity, price) if book.is_spot else quantity

    def _fill(self, book: Book, order: BookOrder, quantity: Decimal, price: Decimal, liquidity: Liquidity) -> None:
        if not quantity:
            return
        room = book.room_for(order)
        if room.left is not None:
            room.left -= quantity
        self._execution.trade(book, order, quantity, price, liquidity)
        after_trade(self._execution, book, order, quantity)


def _prices(book: Book) -> tuple[Decimal, Decimal]:
    bid, ask = book.at_bid, book.at_ask
    assert bid is not None, "no event is being worked through"
    assert ask is not None, "no event is being worked through"
    return bid, ask


def _price_for(book: Book, order: BookOrder) -> Decimal:
    bid, ask = _prices(book)
    return ask if order.is_buy else bid
