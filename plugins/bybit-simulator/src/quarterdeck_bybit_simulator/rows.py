"""Owns how an account's executions, positions and balances look on REST and in the private topics."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from quarterdeck.domain.amounts import ZERO
from quarterdeck.domain.instrument import Instrument
from quarterdeck.domain.market import Side
from quarterdeck.domain.report import FillCause, Filled, FundingSettled, Liquidity
from quarterdeck.matching import PositionSnapshot
from quarterdeck_bybit_simulator.order import MILLISECOND, NAMESPACE, SimOrder, category_of, side_text, text


def execution_row(order: SimOrder, user_id: int, fill: Filled, sequence: int) -> dict[str, Any]:
    """A trade, as the execution topic and `/v5/execution/list` tell it."""
    instrument = order.instrument
    forced = fill.cause is FillCause.LIQUIDATION
    notional = fill.quantity * fill.price
    charged = fill.quantity if instrument.takes_in_kind(fill.fee_currency) else notional
    return {
        "category": category_of(instrument),
        "symbol": instrument.venue_symbol,
        "isLeverage": "0",
        "orderId": order.order_id,
        "orderLinkId": order.link_id,
        "side": side_text(fill.side),
        "orderPrice": text(order.terms.limit_price) or "0",
        "orderQty": text(order.terms.quantity),
        "leavesQty": text(order.leaves),
        "createType": order.create_type,
        "orderType": "Limit" if order.terms.limit_price else "Market",
        "stopOrderType": order.stop_type or "UNKNOWN",
        "execFee": text(fill.fee),
        "feeCurrency": fill.fee_currency,
        "execId": str(uuid.uuid5(NAMESPACE, f"{user_id}/{fill.trade_id}")),
        "execPrice": text(fill.price),
        "execQty": text(fill.quantity),
        "execType": "BustTrade" if forced else order.execution_type,
        "execValue": text(notional),
        "execTime": str(fill.time // MILLISECOND),
        "isMaker": fill.liquidity is Liquidity.MAKER,
        "feeRate": text((fill.fee / charged).quantize(Decimal("1E-6"))) if charged else "0",
        "tradeIv": "",
        "markIv": "",
        "markPrice": text(fill.price),
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": "",
        "extraFees": "",
        "execPnl": "",
        "marketUnit": "",
        "seq": sequence,
    }


def funding_row(instrument: Instrument, user_id: int, paid: FundingSettled, sequence: int) -> dict[str, Any]:
    """A funding payment, which Bybit tells as an execution whose fee is what was paid."""
    return {
        "category": category_of(instrument),
        "symbol": instrument.venue_symbol,
        "orderId": str(uuid.uuid5(NAMESPACE, f"{user_id}/{paid.funding_id}/order")),
        "orderLinkId": "",
        "side": "Sell" if paid.position_quantity > 0 else "Buy",
        "orderPrice": "0",
        "orderQty": "0",
        "leavesQty": "0",
        "createType": "",
        "orderType": "UNKNOWN",
        "stopOrderType": "UNKNOWN",
        "execFee": text(-paid.amount),
        "feeCurrency": "",
        "execId": str(uuid.uuid5(NAMESPACE, f"{user_id}/{paid.funding_id}")),
        "execPrice": "0",
        "execQty": text(abs(paid.position_quantity)),
        "execType": "Funding",
        "execValue": "0",
        "execTime": str(paid.time // MILLISECOND),
        "isMaker": False,
        "feeRate": text(paid.rate),
        "tradeIv": "",
        "markIv": "",
        "markPrice": "0",
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": "",
        "extraFees": "",
        "execPnl": "",
        "isLeverage": "0",
        "marketUnit": "",
        "seq": sequence,
    }


def position_row(
    instrument: Instrument,
    held: PositionSnapshot | None,
    liquidation: Decimal | None,
    leverage: Decimal,
    stops: Mapping[str, str],
    time: int,
    sequence: int,
) -> dict[str, Any]:
    """A position as `/v5/position/list` tells it; the topic calls the average price `entryPrice`."""
    quantity = held.quantity if held else ZERO
    average = text(held.average_price.quantize(Decimal("1E-8"))) if held else "0"
    now = str(time // MILLISECOND)
    return {
        "category": category_of(instrument),
        "positionIdx": 0,
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": instrument.venue_symbol,
        "side": side_text(Side.BUY if quantity > 0 else Side.SELL) if quantity else "",
        "size": text(abs(quantity)),
        "avgPrice": average,
        "entryPrice": average,
        "positionValue": text(abs(held.cost)) if held else "",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if quantity else 0,
        "leverage": text(leverage),
        "positionBalance": "",
        "markPrice": "",
        "liqPrice": text(liquidation.quantize(Decimal("1E-8"))) if liquidation else "",
        "bustPrice": "",
        "breakEvenPrice": "",
        "positionIM": "",
        "positionIMByMp": "",
        "positionMM": "",
        "positionMMByMp": "",
        "tpslMode": "Full",
        "takeProfit": stops.get("takeProfit", "0"),
        "stopLoss": stops.get("stopLoss", "0"),
        "trailingStop": stops.get("trailingStop", "0"),
        "unrealisedPnl": "",
        "curRealisedPnl": "",
        "cumRealisedPnl": "",
        "sessionAvgPrice": "",
        "createdTime": now,
        "updatedTime": now,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "seq": sequence,
    }


def wallet_row(balances: Mapping[str, Decimal], equities: Mapping[str, Decimal]) -> dict[str, Any]:
    """The account's balances; `equities` of the coins that contracts are settled in."""
    coins = []
    for coin, amount in sorted(balances.items()):
        equity = equities.get(coin, amount)
        coins.append(
            {
                "coin": coin,
                "equity": text(equity),
                "usdValue": text(equity),
                "walletBalance": text(amount),
                "free": "",
                "locked": "0",
                "spotHedgingQty": "0",
                "borrowAmount": "0",
                "accruedInterest": "0",
                "totalOrderIM": "0",
                "totalPositionIM": "0",
                "totalPositionMM": "0",
                "unrealisedPnl": text(equity - amount),
                "cumRealisedPnl": "0",
                "bonus": "0",
                "collateralSwitch": True,
                "marginCollateral": True,
                "availableToBorrow": "",
                "availableToWithdraw": "",
                "spotBorrow": "0",
            }
        )
    total = text(balances.get("USDT", ZERO))
    return {
        "accountType": "UNIFIED",
        "accountIMRate": "0",
        "accountMMRate": "0",
        "accountLTV": "",
        "totalEquity": total,
        "totalWalletBalance": total,
        "totalMarginBalance": total,
        "totalAvailableBalance": total,
        "totalPerpUPL": "0",
        "totalInitialMargin": "0",
        "totalMaintenanceMargin": "0",
        "accountIMRateByMp": "0",
        "accountMMRateByMp": "0",
        "totalInitialMarginByMp": "0",
        "totalMaintenanceMarginByMp": "0",
        "coin": coins,
    }


def transfer_row(name: str, currency: str, amount: Decimal, balance: Decimal, time: int) -> dict[str, Any]:
    """Money that came from elsewhere or went there, as `/v5/account/transaction-log` tells it."""
    return {
        "id": name,
        "symbol": "",
        "category": "",
        "side": "None",
        "transactionTime": str(time // MILLISECOND),
        "type": "TRANSFER_IN" if amount > 0 else "TRANSFER_OUT",
        "transSubType": "",
        "qty": "",
        "size": "",
        "currency": currency,
        "tradePrice": "",
        "funding": "",
        "fee": "0",
        "cashFlow": text(amount),
        "change": text(amount),
        "cashBalance": text(balance),
        "feeRate": "",
        "bonusChange": "",
        "tradeId": "",
        "orderId": "",
        "orderLinkId": "",
        "extraFees": "",
    }
