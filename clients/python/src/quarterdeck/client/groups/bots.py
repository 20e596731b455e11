"""Owns what is done with bots, and questions about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quarterdeck.client.answers import BotChanged
from quarterdeck.client.calls import Pages, Unary, new_request_id, resource, resources
from quarterdeck.client.convert import Interval, interval_of, number, settings_of
from quarterdeck.client.names import account_name, bot_name, instrument_name
from quarterdeck.client.resources import Bot
from quarterdeck.client.rpc import Group, L, rpc
from quarterdeck.client.words import PositionPolicy
from quarterdeck.v1 import bot_pb2
from quarterdeck.v1 import bot_service_pb2 as pb


class Bots(Group[L]):
    """Creates and runs bots."""

    @rpc
    def get(self, bot: str) -> Unary[Bot]:
        """One bot."""
        return Unary(pb.GetBotRequest(name=bot_name(bot), account=self.chosen), resource(Bot, "bot"))

    @rpc
    def list(self) -> Pages[Bot]:
        """All bots, by name."""
        return Pages(pb.ListBotsRequest(account=self.chosen), resources(Bot, "bots"))

    @rpc
    def create(
        self,
        bot_id: str,
        *,
        strategy: str,
        instrument: str,
        interval: Interval,
        settings: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> Unary[BotChanged]:
        """Record a bot that trades this client's account, stopped. `settings` are the strategy's own."""
        bot = bot_pb2.Bot(
            account=account_name(self.account),
            strategy=strategy,
            settings=settings_of(settings or {}),
            instrument=instrument_name(instrument),
            interval=interval_of(interval),
        )
        request = pb.CreateBotRequest(bot_id=bot_id, bot=bot, request_id=request_id or new_request_id())
        return Unary(request, resource(BotChanged))

    @rpc
    def start(self, bot: str, *, request_id: str | None = None) -> Unary[BotChanged]:
        """Set a stopped, paused or failed bot running. Unless it was paused, its strategy begins anew."""
        request = pb.StartBotRequest(name=bot_name(bot), account=self.chosen, request_id=request_id or new_request_id())
        return Unary(request, resource(BotChanged))

    @rpc
    def pause(self, bot: str, *, request_id: str | None = None) -> Unary[BotChanged]:
        """Let a running bot see the market, and open nothing."""
        request = pb.PauseBotRequest(name=bot_name(bot), account=self.chosen, request_id=request_id or new_request_id())
        return Unary(request, resource(BotChanged))

    @rpc
    def stop(
        self, bot: str, *, position_policy: PositionPolicy = "KEEP", request_id: str | None = None
    ) -> Unary[BotChanged]:
        """Stop a bot and cancel its working entries. Its share of the position stays, protected, or is closed."""
        request = pb.StopBotRequest(
            name=bot_name(bot),
            account=self.chosen,
            position_policy=number(pb.StopBotRequest.PositionPolicy.DESCRIPTOR, position_policy),
            request_id=request_id or new_request_id(),
        )
        return Unary(request, resource(BotChanged))
