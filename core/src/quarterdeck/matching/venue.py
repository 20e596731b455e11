"""Owns the way in: a venue that takes orders, is shown the market, and reports what happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from quarterdeck.domain.amounts import ZERO, from_observation
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Candle, FundingRate, MarketEvent, OrderBook, Quote, Ticker
from quarterdeck.domain.order import OrderTerms
from quarterdeck.domain.report import Acked, AmendRejected, BalanceChanged, CancelRejected, Filled, Rejected, Report
from quarterdeck.domain.venue import Activity
from quarterdeck.matching.account import Account
from quarterdeck.matching.book import NEVER, Amendment, Book, Request
from quarterdeck.matching.execution import Execution
from quarterdeck.matching.funding import expect_fixed, pay, pay_fixed
from quarterdeck.matching.intake import accept, announce, put_to_work, resume, take_in
from quarterdeck.matching.matcher import Matcher
from quarterdeck.matching.order import BookOrder, exchange_order_id
from quarterdeck.matching.reasons import Reason
from quarterdeck.matching.settings import LimitFill, VenueSettings
from quarterdeck.matching.snapshot import MarketSnapshot, OrderSnapshot, PositionSnapshot, VenueSnapshot, show

_NOTHING: tuple[Report, ...] = ()


class Venue:
    """One account at a venue, as a fold: calls in the same order give the same reports.

    Times are nanoseconds. An order placed now trades with what the market shows from now on, never with what it showed
    before. Reports are returned in the order in which things happened.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balances: Mapping[str, Decimal],
        settings: VenueSettings | None = None,
    ) -> None:
        """Open an account with these balances.

        Raises:
            ValueError: a symbol is listed twice, or a leverage is not one its instrument allows.
        """
        self._settings = settings or VenueSettings()
        through = self._settings.limit_fill is LimitFill.THROUGH
        self._books: dict[str, Book] = {}
        for instrument in instruments:
            if instrument.symbol in self._books:
                raise ValueError(f"instrument {instrument.symbol} is listed twice")
            leverage = self._settings.leverage_of(instrument)
            self._books[instrument.symbol] = book = Book(instrument, leverage, through=through)
            pays_funding = self._settings.funding is not None and not book.is_spot
            book.next_funding = 0 if pays_funding else NEVER
        self._account = Account(self._books, balances)
        self._execution = Execution(self._books, self._account, self._settings)
        self._matcher = Matcher(self._execution)

    # --- requests

    def place(self, link_id: str, terms: OrderTerms, time: int) -> Sequence[Report]:
        """Place an order. The first report is its outcome, Acked or Rejected.

        The same order placed again is acknowledged again and changes nothing.
        """
        execution = self._execution
        execution.now = time
        known = execution.orders.get(link_id)
        if known is not None and known.terms == terms:
            return [Acked(link_id, exchange_order_id(link_id), time)]
        book = self._books.get(terms.symbol)
        if known is not None or book is None:
            return [Rejected(link_id, Reason.UNKNOWN_SYMBOL if known is None else Reason.DUPLICATE_LINK_ID, time)]
        order = accept(execution, book, link_id, terms)
        if isinstance(order, Reason):
            return [Rejected(link_id, order, time)]
        arrival = time + self._settings.latency.delay(link_id)
        if arrival == time:
            announce(execution, book, order)
            if not order.is_open:
                del execution.orders[link_id]
                return execution.take_reports()
        if arrival > book.seen_until:
            # The next candle may have opened before: the order joins its path where it had got to by then.
            book.send(Request(arrival, order.number, link_id, is_new=True))
        else:
            put_to_work(book, order)
        self._wake(book)
        return [Acked(link_id, exchange_order_id(link_id), time), *execution.take_reports()]

    def cancel(self, link_id: str, time: int) -> Sequence[Report]:
        """Ask for an order to end: Canceled or CancelRejected, at once or, with latency, when the wish arrives."""
        order = self._execution.orders.get(link_id)
        if order is None:
            return [CancelRejected(link_id, Reason.UNKNOWN_ORDER, time)]
        return self._request(order, time, None)

    def amend(
        self,
        link_id: str,
        time: int,
        *,
        quantity: Decimal | None = None,
        limit_price: Decimal | None = None,
        trigger_price: Decimal | None = None,
    ) -> Sequence[Report]:
        """Ask for a change: Amended or AmendRejected, at once or, with latency, when the wish arrives.

        A new price or a larger quantity costs the order its time priority.
        """
        order = self._execution.orders.get(link_id)
        if order is None:
            return [AmendRejected(link_id, Reason.UNKNOWN_ORDER, time)]
        return self._request(order, time, Amendment(quantity, limit_price, trigger_price))

    def transfer(self, change_id: str, currency: str, amount: Decimal, time: int) -> Sequence[Report]:
        """Put money into the account, or take it out when `amount` is negative."""
        self._account.add(currency, amount)
        self._execution.report_activity(BalanceChanged(change_id, currency, amount, Reason.TRANSFER, time))
        return self._execution.take_reports()

    def _request(self, order: BookOrder, time: int, amendment: Amendment | None) -> Sequence[Report]:
        execution = self._execution
        execution.now = time
        book = self._books[order.terms.symbol]
        number = execution.take_number()
        delay = self._settings.latency.delay(f"{order.link_id}:{number}")
        request = Request(time + delay, number, order.link_id, amendment=amendment)
        if delay:
            book.send(request)
        else:
            take_in(execution, book, request)
        self._wake(book)
        return execution.take_reports()

    def _wake(self, book: Book) -> None:
        """Something about its orders is new, so the book has to see the next event."""
        book.wake_time = 0
        if book.trailing:
            self._matcher.tell_triggers(book)

    # --- the market

    def on_market(self, event: MarketEvent) -> Sequence[Report]:
        """See the market move. What lies before something already seen of the same instrument is ignored.

        So each moment trades once, even if candles of several intervals, quotes and trades are shown side by side.
        """
        book = self._books.get(event.symbol)
        if book is None:
            return _NOTHING
        if isinstance(event, Candle):
            return self._on_candle(book, event)
        if isinstance(event, Ticker | OrderBook):  # nobody can trade with what they say
            return _NOTHING
        if event.time < book.seen_until:
            return _NOTHING
        if isinstance(event, FundingRate):
            return self._on_funding(book, event)
        if isinstance(event, Quote):
            bid, ask = event.bid, event.ask
        else:
            bid = ask = event.price
        if bid > book.wake_below and ask < book.wake_above and event.time < book.wake_time:
            book.show(bid, ask, event.time)
            return _NOTHING
        if not book.next_funding:
            expect_fixed(self._execution, book, event.time)
        if isinstance(event, Quote):
            self._matcher.quote(book, event)
        else:
            self._matcher.trade(book, event)
        return self._finish(book, event.time)

    def _on_candle(self, book: Book, candle: Candle) -> Sequence[Report]:
        start = candle.open_time
        if start < book.seen_until:
            return _NOTHING
        end = start + candle.interval
        if candle.low > book.wake_below and candle.high < book.wake_above and end < book.wake_time:
            book.bid = book.ask = candle.close
            book.at_bid = book.at_ask = None
            book.seen_until = end
            return _NOTHING
        if not book.next_funding:
            expect_fixed(self._execution, book, start)
        self._matcher.candle(book, candle)
        return self._finish(book, end)

    def _on_funding(self, book: Book, event: FundingRate) -> Sequence[Report]:
        self._execution.now = event.time
        pay(self._execution, book, from_observation(event.rate), event.time)
        self._matcher.settle(book)
        return self._execution.take_reports()

    def _finish(self, book: Book, time: int) -> Sequence[Report]:
        if book.next_funding <= time:
            pay_fixed(self._execution, book, time)
            self._matcher.settle(book)
        return self._execution.take_reports()

    def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Change the leverage of an instrument; margins follow at once.

        Raises:
            ValueError: below 1, above what the instrument allows, or the symbol is not traded here.
        """
        book = self._book(symbol)
        if not 1 <= leverage <= book.instrument.max_leverage:
            raise ValueError(f"leverage of {symbol} must be from 1 to {book.instrument.max_leverage}, was {leverage}")
        book.leverage = leverage
        self._wake_all()

    def relist(self, instrument: Instrument) -> None:
        """Go by other filters from now on. What works already goes on as it was taken in.

        Raises:
            ValueError: the symbol is not traded here.
        """
        self._book(instrument.symbol).instrument = instrument

    def deposit(self, currency: str, amount: Decimal) -> None:
        """Move money in from elsewhere, or out when the amount is negative."""
        balances = self._account.balances
        balances[currency] = balances.get(currency, ZERO) + amount
        self._wake_all()

    def _wake_all(self) -> None:
        """What the account can carry has changed, so where positions would be liquidated is worked out anew."""
        for book in self._books.values():
            book.wake_time = 0

    # --- what it holds

    @property
    def instruments(self) -> Sequence[Instrument]:
        """What can be traded here."""
        return [book.instrument for book in self._books.values()]

    @property
    def next_trade_number(self) -> int:
        """The number that makes the next trade's id."""
        return self._execution.next_trade_number

    def find_order(self, link_id: str) -> OrderSnapshot | None:
        """An order, open or closed; None if it was never taken in, or had ended before the venue was restored."""
        order = self._execution.orders.get(link_id)
        return None if order is None else show(order)

    def open_orders(self) -> Sequence[OrderSnapshot]:
        """All open orders, those still on their way included; oldest first within each instrument."""
        return [
            show(order, is_fresh=order in book.fresh) for book in self._books.values() for order in book.orders.values()
        ]

    def fills(self, link_id: str) -> Sequence[Filled]:
        """All trades of an order since the venue was built or restored, oldest first."""
        return tuple(self._execution.fills.get(link_id, ()))

    def history(self, since: int) -> Sequence[Activity]:
        """What moved the account at or after a time, since the venue was built or restored; oldest first.

        Raises:
            LookupError: it does not remember that far.
        """
        remembered = self._execution.activity
        if len(remembered) == remembered.maxlen and since <= remembered[0].time:
            raise LookupError(f"what happened before {remembered[0].time} is forgotten; asked was for {since} on")
        return [activity for activity in remembered if activity.time >= since]

    def positions(self) -> Sequence[PositionSnapshot]:
        """All positions that are not flat. On spot, what was bought here less what was sold."""
        return [
            PositionSnapshot(symbol, book.quantity, book.cost) for symbol, book in self._books.items() if book.quantity
        ]

    def balances(self) -> Mapping[str, Decimal]:
        """Wallet balance per currency, without unrealised profit."""
        return dict(self._account.balances)

    def margin_balance(self, currency: str) -> Decimal:
        """Wallet balance plus the unrealised profit of contracts settled in the currency, at the last prices."""
        return self._account.margin_balance(currency)

    def liquidation_price(self, symbol: str) -> Decimal | None:
        """Where the position in an instrument would be liquidated if no other price moved; None without one."""
        return self._account.liquidation_price(self._books[symbol])

    # --- memory

    def snapshot(self) -> VenueSnapshot:
        """All that decides what the venue does next."""
        return VenueSnapshot(
            self.balances(),
            tuple(self.positions()),
            tuple(self.open_orders()),
            self._execution.next_trade_number,
            self._execution.next_number,
            tuple(
                MarketSnapshot(
                    symbol,
                    book.bid,
                    book.ask,
                    book.seen_until,
                    book.funded_until,
                    book.next_funding,
                    tuple(sorted(book.requests)),
                )
                for symbol, book in self._books.items()
            ),
        )

    def restore(self, snapshot: VenueSnapshot) -> Sequence[Report]:
        """Take over a memory, once, before anything else; reports orders that work from now on.

        Raises:
            ValueError: it holds a position or an order in an instrument that is not traded here.
        """
        execution = self._execution
        self._account.balances = dict(snapshot.balances)
        execution.next_trade_number, execution.next_number = snapshot.next_trade_number, snapshot.next_number
        for market in snapshot.markets:
            book = self._book(market.symbol)
            book.bid, book.ask = market.bid, market.ask
            book.seen_until, book.funded_until = market.seen_until, market.funded_until
            book.next_funding = market.next_funding
            book.requests = list(market.requests)
        for position in snapshot.positions:
            book = self._book(position.symbol)
            book.quantity, book.cost = position.quantity, position.cost
        for shown in snapshot.orders:
            resume(execution, self._book(shown.terms.symbol), shown)
        for book in self._books.values():
            execution.now = book.seen_until
            self._matcher.settle(book)
        return execution.take_reports()

    def _book(self, symbol: str) -> Book:
        book = self._books.get(symbol)
        if book is None:
            raise ValueError(f"{symbol} is held but not traded here: list it among the instruments")
        return book
