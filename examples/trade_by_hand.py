"""One trade by hand: how large it may be, the order with its stop, what became of it, and out again.

    python examples/trade_by_hand.py [ADDRESS]

It trades on whatever account the daemon has, which is paper unless somebody configured otherwise.
"""

from __future__ import annotations

import sys
from decimal import Decimal

from quarterdeck.client import DEFAULT_TARGET, NewOrder, RiskRefused, SyncClient
from quarterdeck.client.events import OrderAbsent, OrderCanceled, OrderExpired, OrderFilled, OrderNotSent, OrderRejected

SYMBOL = "btcusdt"


def main(address: str = DEFAULT_TARGET) -> int:
    """Trade once."""
    with SyncClient.connect(address) as client:
        tick = client.market.instrument(SYMBOL).tick_size
        with client.market.stream_candles([SYMBOL]) as candles:
            price = Decimal(str(next(candles).close))
        stop = price * Decimal("0.99") // tick * tick

        size = client.sizing.compute(SYMBOL, "BUY", stop=stop)
        for step in size.sizing.steps if size.sizing else ():
            print(f"{step.rule:28} {step.before} -> {step.after}")
        try:
            created = client.orders.create(instrument=SYMBOL, side="BUY", type="MARKET", stop_loss=stop)
        except RiskRefused as refused:
            print(f"refused: {refused.metadata}")
            return 1
        if not filled(client, created.order, created.sequence):
            return 1

        closing = client.positions.close(SYMBOL)
        return 0 if all(filled(client, order, closing.sequence) for order in closing.orders) else 1


def filled(client: SyncClient, order: NewOrder, after: int) -> bool:
    """Wait for the end of an order that was recorded after that position: whether it was filled."""
    with client.events.stream(after) as stream:
        for event in stream:
            match event.body:
                case OrderFilled(fill=fill, order_state=state) if fill.order == order.name:
                    print(f"{fill.side} {fill.quantity} at {fill.price}, fee {fill.fee} {fill.fee_currency}")
                    if state == "FILLED":
                        return True
                case (
                    OrderCanceled(order=name)
                    | OrderExpired(order=name)
                    | OrderRejected(order=name)
                    | OrderNotSent(order=name)
                    | OrderAbsent(order=name)
                ) if name == order.name:
                    print(f"{event.type}: {order.name}")
                    return False
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
