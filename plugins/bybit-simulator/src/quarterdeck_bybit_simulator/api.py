"""Owns Bybit's REST methods over the simulated accounts and markets: parameters in, a result out, no I/O.

A method takes texts as they came over the wire and returns what stands under `result`. The trade socket uses the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from quarterdeck.domain.market import DAY
from quarterdeck_bybit_simulator.account import SimAccount
from quarterdeck_bybit_simulator.market import INTERVALS, Market
from quarterdeck_bybit_simulator.order import CLOSED, FORGOTTEN, MILLISECOND, SimOrder, category_of, text
from quarterdeck_bybit_simulator.params import (
    Params,
    amount_in,
    category_in,
    concerns,
    cursor_in,
    terms_in,
    time_range,
)
from quarterdeck_bybit_simulator.refusals import (
    LEVERAGE_UNCHANGED,
    MODE_UNCHANGED,
    NOT_MODIFIED,
    PARAMETER,
    PERMISSION,
    Refusal,
)
from quarterdeck_bybit_simulator.settings import SimulatorSettings

Result = dict[str, Any]

_CANCELED_AT_ONCE = 500
_LINK_ID_LENGTH = 36
_ORDER_FILTERS = frozenset({"Order", "StopOrder", "tpslOrder"})


class Api:
    """Every method by its path."""

    def __init__(
        self,
        markets: Mapping[tuple[str, str], Market],
        settings: SimulatorSettings,
        now: Callable[[], int],
        choose: Callable[[Sequence[SimOrder], int], Sequence[SimOrder]],
    ) -> None:
        self._markets = markets
        self._settings = settings
        self._now = now
        self._choose = choose
        """Which of too many orders a cancel-all takes."""
        self.public: Mapping[str, Callable[[Params], Result]] = {
            "/v5/market/time": self._time,
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/kline": self._klines,
            "/v5/market/tickers": self._tickers,
            "/v5/market/orderbook": self._book,
            "/v5/market/recent-trade": self._trades,
            "/v5/market/funding/history": self._funding,
        }
        self.reads: Mapping[str, Callable[[SimAccount, Params], Result]] = {
            "/v5/order/realtime": self._realtime,
            "/v5/order/history": self._history,
            "/v5/execution/list": self._executions,
            "/v5/position/list": self._positions,
            "/v5/account/wallet-balance": self._wallet,
            "/v5/account/info": self._account_info,
            "/v5/account/fee-rate": self._fees,
            "/v5/account/transaction-log": self._transactions,
            "/v5/account/query-dcp-info": self._dcp,
            "/v5/user/query-api": self._key,
        }
        self.writes: Mapping[str, Callable[[SimAccount, Params], Result]] = {
            "/v5/order/create": self._create,
            "/v5/order/amend": self._amend,
            "/v5/order/cancel": self._cancel,
            "/v5/order/cancel-all": self._cancel_all,
            "/v5/position/trading-stop": self._trading_stop,
            "/v5/position/set-leverage": self._set_leverage,
            "/v5/position/switch-mode": self._switch_mode,
            "/v5/account/set-margin-mode": self._set_margin_mode,
            "/v5/order/disconnected-cancel-all": self._set_dcp,
        }

    # ------------------------------------------------------------ orders

    def _create(self, account: SimAccount, params: Params) -> Result:
        instrument = self._market(params).instrument
        link_id = str(params.get("orderLinkId", ""))
        if len(link_id) > _LINK_ID_LENGTH or (not link_id.replace("-", "").replace("_", "").isalnum() and link_id):
            raise Refusal(PARAMETER, "params error: order_link_id fail")
        if params.get("positionIdx", 0) not in (0, "0"):
            raise Refusal(PARAMETER, "position idx not match position mode")
        order = account.place(instrument, terms_in(params, instrument), link_id)
        return {"orderId": order.order_id, "orderLinkId": link_id}

    def _amend(self, account: SimAccount, params: Params) -> Result:
        order = self._order(account, params)
        changes = [amount_in(params, name) for name in ("qty", "price", "triggerPrice")]
        if changes == [None, None, None]:
            raise Refusal(PARAMETER, "params error: nothing to modify")
        account.amend(order, *changes)
        return {"orderId": order.order_id, "orderLinkId": order.link_id}

    def _cancel(self, account: SimAccount, params: Params) -> Result:
        order = self._order(account, params)
        account.cancel(order)
        return {"orderId": order.order_id, "orderLinkId": order.link_id}

    def _cancel_all(self, account: SimAccount, params: Params) -> Result:
        category = category_in(params)
        wanted = str(params.get("orderFilter", ""))
        if wanted and wanted not in _ORDER_FILTERS:
            raise Refusal(PARAMETER, "params error: orderFilter")
        if category == "linear" and not any(params.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
            raise Refusal(PARAMETER, "params error: symbol, baseCoin or settleCoin is required")
        if category == "spot":
            wanted = wanted or "Order"
        found = [
            order
            for order in account.open_orders()
            if category_of(order.instrument) == category
            and concerns(params, order.instrument)
            and (not wanted or (wanted == "Order") is not order.is_conditional)
        ]
        chosen = self._choose(found, _CANCELED_AT_ONCE) if len(found) > _CANCELED_AT_ONCE else found
        for order in chosen:
            if order.is_open:  # one cancellation may have ended another
                account.cancel(order)
        rows = [{"orderId": order.order_id, "orderLinkId": order.link_id} for order in chosen]
        return {"list": rows, "success": "1"}

    def _order(self, account: SimAccount, params: Params) -> SimOrder:
        category = category_in(params)
        order_id, link_id = str(params.get("orderId", "")), str(params.get("orderLinkId", ""))
        if not order_id and not link_id:
            raise Refusal(PARAMETER, "params error: orderId or orderLinkId is required")
        return account.existing(order_id, link_id, category)

    def _realtime(self, account: SimAccount, params: Params) -> Result:
        category = category_in(params)
        named = params.get("orderId") or params.get("orderLinkId")
        if category == "linear" and not named and not any(params.get(n) for n in ("symbol", "baseCoin", "settleCoin")):
            raise Refusal(PARAMETER, "params error: symbol, baseCoin or settleCoin is required")
        shows_closed = named or str(params.get("openOnly", "0")) == "1"
        orders = account.open_orders()
        if shows_closed or self._settings.read_lag:
            orders = orders + account.recently_closed()
        rows = self._rows(orders, category, params)
        if not shows_closed:
            rows = [row for row in rows if row["orderStatus"] not in CLOSED]
        return self._page(rows, params, default=20, most=50)

    def _history(self, account: SimAccount, params: Params) -> Result:
        category, now = category_in(params), self._now()
        orders = [
            order
            for order in account.orders.values()
            if not order.is_open and not (order.status in FORGOTTEN and order.update_time < now - DAY)
        ]
        rows = [row for row in self._rows(orders, category, params) if row["orderStatus"] in CLOSED]
        return self._page(rows, params, default=20, most=50)

    def _rows(self, orders: Iterable[SimOrder], category: str, params: Params) -> list[Result]:
        """Rows of the orders a query finds, newest first, as they were `read_lag` ago."""
        now = self._now()
        wanted = str(params.get("orderFilter", ""))
        order_id, link_id = params.get("orderId"), params.get("orderLinkId")
        rows = []
        for order in orders:
            if category_of(order.instrument) != category or not concerns(params, order.instrument):
                continue
            if wanted and (wanted == "Order") is order.is_conditional:
                continue
            if order_id and order.order_id != order_id:
                continue
            if not order_id and link_id and order.link_id != link_id:
                continue
            if max(order.visible_time, order.create_time + self._settings.read_lag) <= now:
                rows.append(self._as_of(order, now - self._settings.read_lag))
        return rows[::-1]

    def _as_of(self, order: SimOrder, time: int) -> Result:
        if not self._settings.read_lag:
            return order.row()
        past = [row for row in order.seen if int(row["updatedTime"]) * MILLISECOND <= time]
        return past[-1] if past else (order.seen[0] if order.seen else order.row())

    def _executions(self, account: SimAccount, params: Params) -> Result:
        category = category_in(params)
        start, end = time_range(params, self._now())
        if self._settings.read_lag:
            end = min(end, (self._now() - self._settings.read_lag) // MILLISECOND)
        rows = [
            row
            for row in account.executions
            if row["category"] == category
            and params.get("symbol") in (None, "", row["symbol"])
            and params.get("orderId") in (None, "", row["orderId"])
            and params.get("orderLinkId") in (None, "", row["orderLinkId"])
            and params.get("execType") in (None, "", row["execType"])
            and start <= int(row["execTime"]) <= end
        ]
        rows.sort(key=lambda row: -int(row["execTime"]))
        return self._page(rows, params, default=50, most=100)

    def _page(self, rows: Sequence[Result], params: Params, *, default: int, most: int) -> Result:
        limit = min(int(params.get("limit") or default), most, self._settings.largest_page)
        if limit < 1:
            raise Refusal(PARAMETER, "params error: limit")
        start = cursor_in(params)
        page = rows[start : start + limit]
        is_last = start + limit >= len(rows)
        cursor = "" if is_last else base64.urlsafe_b64encode(json.dumps(start + limit).encode()).decode()
        return {"category": params.get("category", ""), "nextPageCursor": cursor, "list": list(page)}

    # ------------------------------------------------------------ account

    def _positions(self, account: SimAccount, params: Params) -> Result:
        category = category_in(params)
        if category != "linear":
            raise Refusal(PARAMETER, "params error: category")
        symbol = params.get("symbol")
        if not symbol and not params.get("settleCoin"):
            raise Refusal(PARAMETER, "params error: symbol or settleCoin is required")
        rows = [
            account.position_row(one)
            for one in account.instruments.values()
            if category_of(one) == category and concerns(params, one) and (symbol or account.quantity(one.symbol))
        ]
        return self._page(rows, params, default=20, most=200)

    def _wallet(self, account: SimAccount, params: Params) -> Result:
        if params.get("accountType") != "UNIFIED":
            raise Refusal(PARAMETER, "accountType only support UNIFIED.")
        return {"list": [account.wallet_row()]}

    def _transactions(self, account: SimAccount, params: Params) -> Result:
        """Money that came and went; what trading moved is left out here, since executions tell it."""
        start, end = time_range(params, self._now())
        rows = [
            row
            for row in reversed(account.transfers)
            if start <= int(row["transactionTime"]) <= end
            and params.get("currency") in (None, "", row["currency"])
            and params.get("type") in (None, "", row["type"])
        ]
        return self._page(rows, params, default=20, most=50)

    def _account_info(self, account: SimAccount, params: Params) -> Result:
        return {
            "marginMode": account.margin_mode,
            "updatedTime": "1697078946000",
            "unifiedMarginStatus": 5,
            "dcpStatus": "OFF",
            "timeWindow": 0,
            "smpGroup": 0,
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
        }

    def _fees(self, account: SimAccount, params: Params) -> Result:
        category = category_in(params)
        rows = [
            {
                "symbol": one.venue_symbol,
                "baseCoin": "",
                "takerFeeRate": text(one.taker_fee_rate),
                "makerFeeRate": text(one.maker_fee_rate),
            }
            for one in account.instruments.values()
            if category_of(one) == category and params.get("symbol") in (None, "", one.venue_symbol)
        ]
        return {"category": category, "list": rows}

    def _key(self, account: SimAccount, params: Params) -> Result:
        member = account.member
        wallet = ["AccountTransfer"] + (["Withdraw"] if member.may_withdraw else [])
        trade = member.may_trade
        return {
            "id": "13770661",
            "note": "simulated",
            "apiKey": member.api_key,
            "readOnly": int(member.is_read_only),
            "secret": "",
            "permissions": {
                "ContractTrade": ["Order", "Position"] if trade else [],
                "Spot": ["SpotTrade"] if trade else [],
                "Wallet": wallet if member.may_withdraw else [],
                "Options": [],
                "Derivatives": ["DerivativesTrade"] if trade else [],
                "CopyTrading": [],
                "BlockTrade": [],
                "Exchange": [],
                "NFT": [],
                "Affiliate": [],
                "Earn": [],
                "FiatP2P": [],
                "FiatConvertBroker": [],
                "FiatGlobalPay": [],
                "FiatBitPay": [],
                "BitCard": [],
                "ByXPost": [],
            },
            "ips": list(member.addresses),
            "type": 1,
            "deadlineDay": 90,
            "expiredAt": member.expires,
            "createdAt": "2024-01-01T00:00:00Z",
            "unified": 0,
            "uta": 1,
            "userID": member.user_id,
            "inviterID": 0,
            "vipLevel": "No VIP",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "rsaPublicKey": "",
            "isMaster": True,
            "parentUid": "0",
            "kycLevel": "LEVEL_1",
            "kycRegion": "",
            "userIDInt64": str(member.user_id),
            "inviterIDInt64": "0",
            "affiliateIDInt64": "0",
        }

    def _dcp(self, account: SimAccount, params: Params) -> Result:
        infos = [
            {"product": product, "dcpStatus": "ON", "timeWindow": str(window)}
            for product, window in sorted(account.dcp.items())
        ]
        return {"dcpInfos": infos}

    def _set_dcp(self, account: SimAccount, params: Params) -> Result:
        window, product = int(params.get("timeWindow", 0)), str(params.get("product", "OPTIONS"))
        if not self._settings.dcp_is_offered:
            raise Refusal(PERMISSION, "Permission denied, DCP is not available for this account.")
        if not 3 <= window <= 300 or product not in ("OPTIONS", "DERIVATIVES", "SPOT"):
            raise Refusal(PARAMETER, "params error: product or timeWindow")
        account.dcp[product] = window
        return {}

    def _set_leverage(self, account: SimAccount, params: Params) -> Result:
        instrument = self._market(params).instrument
        wanted = amount_in(params, "buyLeverage")
        if wanted is None or wanted != amount_in(params, "sellLeverage"):
            raise Refusal(PARAMETER, "params error: buy leverage must equal sell leverage")
        if not 1 <= wanted <= instrument.max_leverage:
            raise Refusal(PARAMETER, "params error: leverage")
        if wanted == account.leverage_of(instrument):
            raise Refusal(LEVERAGE_UNCHANGED, "leverage not modified")
        account.venue.set_leverage(instrument.symbol, wanted)
        account.leverage[instrument.symbol] = wanted
        return {}

    def _switch_mode(self, account: SimAccount, params: Params) -> Result:
        mode = int(params.get("mode", -1))
        if mode not in (0, 3):
            raise Refusal(PARAMETER, "params error: mode")
        if mode == account.position_mode:
            raise Refusal(MODE_UNCHANGED, "Position mode is not modified")
        account.position_mode = mode
        return {}

    def _set_margin_mode(self, account: SimAccount, params: Params) -> Result:
        mode = str(params.get("setMarginMode", ""))
        if mode not in ("ISOLATED_MARGIN", "REGULAR_MARGIN", "PORTFOLIO_MARGIN"):
            raise Refusal(PARAMETER, "params error: setMarginMode")
        account.margin_mode = mode
        return {"reasons": []}

    def _trading_stop(self, account: SimAccount, params: Params) -> Result:
        instrument = self._market(params).instrument
        set_one = False
        for name in ("stopLoss", "takeProfit", "trailingStop"):
            value = amount_in(params, name)
            if value is not None:
                account.set_position_stop(instrument, name, value)
                set_one = True
        if not set_one:
            raise Refusal(NOT_MODIFIED, "not modified")
        return {}

    # ------------------------------------------------------------ market

    def _market(self, params: Params) -> Market:
        found = self._markets.get((category_in(params), str(params.get("symbol", ""))))
        if found is None:
            raise Refusal(PARAMETER, "params error: symbol invalid " + str(params.get("symbol", "")))
        return found

    def _time(self, params: Params) -> Result:
        now = self._now()
        return {"timeSecond": str(now // 1_000_000_000), "timeNano": str(now)}

    def _instruments(self, params: Params) -> Result:
        category = category_in(params)
        rows = [
            market.instrument_row()
            for (of, symbol), market in self._markets.items()
            if of == category and params.get("symbol") in (None, "", symbol)
        ]
        return self._page(rows, params, default=500, most=1000)

    def _klines(self, params: Params) -> Result:
        market = self._market({"category": "linear", **params})
        word = str(params.get("interval", ""))
        if word not in INTERVALS:
            raise Refusal(PARAMETER, "params error: interval")
        start, end = int(params.get("start") or 0), int(params.get("end") or 2**62)
        limit = min(int(params.get("limit") or 200), 1000)
        bars = [bar for bar in market.bars.get(word, ()) if start <= bar.start // MILLISECOND <= end]
        rows = [bar.row() for bar in reversed(bars)][:limit]
        return {"category": market.category, "symbol": market.instrument.venue_symbol, "list": rows}

    def _tickers(self, params: Params) -> Result:
        category, now = category_in(params), self._now()
        rows = [
            market.ticker(now)
            for (of, symbol), market in self._markets.items()
            if of == category and params.get("symbol") in (None, "", symbol)
        ]
        return {"category": category, "list": rows}

    def _book(self, params: Params) -> Result:
        market = self._market(params)
        now = self._now() // MILLISECOND
        return market.book(min(int(params.get("limit") or 25), 1000)) | {"ts": now, "cts": now}

    def _trades(self, params: Params) -> Result:
        market = self._market(params)
        limit = min(int(params.get("limit") or 500), 1000)
        rows = [
            {
                "execId": trade["i"],
                "symbol": trade["s"],
                "price": trade["p"],
                "size": trade["v"],
                "side": trade["S"],
                "time": str(trade["T"]),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(trade["seq"]),
            }
            for trade in reversed(market.trades)
        ]
        return {"category": market.category, "list": rows[:limit]}

    def _funding(self, params: Params) -> Result:
        market = self._market(params)
        start, end = int(params.get("startTime") or 0), int(params.get("endTime") or 2**62)
        limit = min(int(params.get("limit") or 200), 200)
        rows = [
            {
                "symbol": market.instrument.venue_symbol,
                "fundingRate": f"{event.rate:.8f}",
                "fundingRateTimestamp": str(event.time // MILLISECOND),
            }
            for event in reversed(market.funding)
            if start <= event.time // MILLISECOND <= end
        ]
        return {"category": market.category, "list": rows[:limit]}
