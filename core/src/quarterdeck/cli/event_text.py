"""Owns how an event is told to people, in one line."""

from __future__ import annotations

from decimal import Decimal

from rich.text import Text

from quarterdeck.cli import figures
from quarterdeck.cli.figures import name, number, word
from quarterdeck.client import Event, EventBody, NewOrder, OrderTerms, events

LOUD = {
    "OrderFilled": "green",
    "OrderRefused": "yellow",
    "OrderRejected": "yellow",
    "OrderUnknown": "red",
    "TradingStateChanged": "red",
    "BotStateChanged": "cyan",
    "SignalRaised": "cyan",
}
"""Kinds of events that catch the eye."""


def line(event: Event) -> Text:
    """An event with its place and time."""
    return Text.assemble(
        (f"{event.sequence:>7,}  {figures.clock(event.record_time)}  ", "dim"),
        (f"{event.type:<22} ", LOUD.get(event.type, "")),
        " ".join(told(event.body).split()),
    )


def told(body: EventBody) -> str:  # noqa: PLR0912 - one case for each kind of event that has something to tell
    """What happened, without its kind."""
    match body:
        case events.OrderPrepared(order=order) | events.OrderAdopted(order=order):
            return f"{order.id}: {_terms(order)}{_prices(order)}"
        case events.OrderRefused(order=terms, rule=rule, reason=reason, limit=limit, observed=observed):
            return f"{_terms(terms)} by {rule}: {reason}{_against(observed, limit)}"
        case events.OrderFilled(fill=fill):
            made = f", realized {fill.realized_pnl:+,.2f}" if fill.realized_pnl else ""
            traded = f"{word(fill.side)} {number(fill.quantity)} {name(fill.instrument)} at {number(fill.price)}"
            return f"{name(fill.order)}: {traded}{made}, holds {number(body.position_quantity)}"
        case events.OrderCanceled(order=order, reason=reason) | events.OrderExpired(order=order, reason=reason):
            return _because(name(order), reason)
        case (
            events.OrderRejected(order=order, reason=reason)
            | events.OrderAmendRejected(order=order, reason=reason)
            | events.OrderCancelRejected(order=order, reason=reason)
            | events.OrderUnknown(order=order, detail=reason)
            | events.OrderNotSent(order=order, detail=reason)
            | events.OrderAbsent(order=order, detail=reason)
        ):
            return _because(name(order), reason)
        case events.OrderAmendRequested() | events.OrderAmended():
            changes = {"quantity": body.quantity, "limit": body.limit_price, "trigger": body.trigger_price}
            asked = ", ".join(f"{what} {number(value)}" for what, value in changes.items() if value is not None)
            return f"{name(body.order)}: {asked}"
        case events.FundingPaid(instrument=instrument, amount=amount, rate=rate):
            return f"{amount:+,.2f} for {name(instrument)} at {figures.share(rate)}"
        case events.BalanceAdjusted(currency=currency, amount=amount, wallet=wallet, reason=reason):
            return _because(f"{amount:+,f} {currency} to {number(wallet)}", reason)
        case events.PositionAdjusted(instrument=instrument, quantity=quantity, reason=reason):
            changed = f"{name(instrument)} {quantity:+,f}, holds {number(body.position_quantity)}"
            return _because(changed, reason)
        case events.InstrumentChanged(instrument=one):
            rules = f"tick {number(one.tick_size)}, lot {number(one.lot_size)}, least {number(one.min_quantity)}"
            return f"{name(one.name)}: {rules}{', can only be reduced' if one.reduce_only else ''}"
        case events.PortfolioSnapshotTaken():
            return (
                f"equity {figures.money(body.equity)}, drawdown {figures.percent(body.drawdown)}, "
                f"risk per trade {figures.share(body.risk_ratio)}"
            )
        case events.AccountOpened(account=account, balances=balances):
            return f"{name(account)}: " + ", ".join(f"{number(each.wallet)} {each.currency}" for each in balances)
        case events.TradingStateChanged(state=state, reason=reason):
            return _because(word(state), reason)
        case events.SignalRaised(bot=bot, instrument=instrument, action=action, reason=reason):
            return _because(f"{name(bot)}: {word(action)} {name(instrument)}", reason)
        case events.SignalDropped(bot=bot, action=action, reason=reason):
            return _because(f"{name(bot)}: {word(action)}", reason)
        case events.BotCreated(bot=bot):
            return f"{bot.id}: {bot.strategy} on {name(bot.instrument)}"
        case events.BotStateChanged(bot=bot, state=state, failure=failure):
            return _because(f"{name(bot)}: {word(state)}", failure)
        case events.DaemonStarted(version=version, mode=mode, plugins=plugins):
            return f"{version}, {word(mode)}, with {', '.join(plugins)}"
        case events.DaemonStopped(reason=reason):
            return reason
        case events.Unrecognized():
            return "something this version does not know"
        case _:
            return name(body.order)


def _because(what: str, reason: str) -> str:
    return f"{what}, {reason}" if reason else what


def _terms(order: OrderTerms) -> str:
    return f"{word(order.side)} {number(order.quantity)} {name(order.instrument)} {word(order.type)}"


def _prices(order: NewOrder) -> str:
    prices = {
        "at": order.limit_price or order.trigger_price,
        "stop": order.stop_loss,
        "target": order.take_profit,
    }
    return "".join(f", {label} {number(price)}" for label, price in prices.items() if price is not None)


def _against(observed: Decimal | None, limit: Decimal | None) -> str:
    return "" if observed is None else f", {number(observed)} against {number(limit)}"
