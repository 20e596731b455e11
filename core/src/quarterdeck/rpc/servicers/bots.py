"""Owns BotService: recording bots, and running them."""

from __future__ import annotations

from typing_extensions import override

from quarterdeck.domain.bot import BotSpec
from quarterdeck.domain.errors import NotFound
from quarterdeck.engine.inputs import CreateBot, PauseBot, StopBot
from quarterdeck.rpc import names, pages
from quarterdeck.rpc.convert.bots import bot_message, read_spec
from quarterdeck.rpc.facade import Deck
from quarterdeck.rpc.servicers.base import Context, Servicer, identity, place_of
from quarterdeck.v1.bot_pb2 import Bot
from quarterdeck.v1.bot_service_pb2 import (
    CreateBotRequest,
    CreateBotResponse,
    GetBotRequest,
    GetBotResponse,
    ListBotsRequest,
    ListBotsResponse,
    PauseBotRequest,
    PauseBotResponse,
    StartBotRequest,
    StartBotResponse,
    StopBotRequest,
    StopBotResponse,
)
from quarterdeck.v1.bot_service_pb2_grpc import BotServiceServicer


class BotServicer(Servicer, BotServiceServicer):
    """Bots, by id."""

    def __init__(self, deck: Deck, listings: pages.Listings) -> None:
        super().__init__(deck)
        self._listings = listings

    @override
    async def GetBot(self, request: GetBotRequest, context: Context) -> GetBotResponse:
        sequence = await self._settled()
        return GetBotResponse(bot=self._bot(names.bot_id_of(request.name)), snapshot_sequence=sequence)

    @override
    async def ListBots(self, request: ListBotsRequest, context: Context) -> ListBotsResponse:
        sequence = await self._settled()
        page = self._listings.page(
            request, sequence, lambda: [self._bot(bot_id) for bot_id in sorted(self._deck.state.bots)]
        )
        return ListBotsResponse(
            bots=page.items, next_page_token=page.next_page_token, snapshot_sequence=page.snapshot_sequence
        )

    @override
    async def CreateBot(self, request: CreateBotRequest, context: Context) -> CreateBotResponse:
        spec: BotSpec = read_spec(request.bot, request.bot_id)
        recorded = await self._deck.submit(CreateBot(spec), identity(request))
        sequence = place_of(recorded, await self._settled())
        return CreateBotResponse(bot=self._bot(request.bot_id), sequence=sequence)

    @override
    async def StartBot(self, request: StartBotRequest, context: Context) -> StartBotResponse:
        bot_id = names.bot_id_of(request.name)
        recorded = await self._deck.start_bot(bot_id, identity(request))
        sequence = place_of(recorded, await self._settled())
        return StartBotResponse(bot=self._bot(bot_id), sequence=sequence)

    @override
    async def PauseBot(self, request: PauseBotRequest, context: Context) -> PauseBotResponse:
        bot_id = names.bot_id_of(request.name)
        recorded = await self._deck.submit(PauseBot(bot_id), identity(request))
        sequence = place_of(recorded, await self._settled())
        return PauseBotResponse(bot=self._bot(bot_id), sequence=sequence)

    @override
    async def StopBot(self, request: StopBotRequest, context: Context) -> StopBotResponse:
        bot_id = names.bot_id_of(request.name)
        flatten = request.position_policy == StopBotRequest.POSITION_POLICY_FLATTEN
        recorded = await self._deck.submit(StopBot(bot_id, flatten), identity(request))
        sequence = place_of(recorded, await self._settled())
        return StopBotResponse(bot=self._bot(bot_id), sequence=sequence)

    def _bot(self, bot_id: str) -> Bot:
        state = self._deck.state
        bot = state.bots.get(bot_id)
        if bot is None:
            raise NotFound("bot", bot_id)
        return bot_message(bot, state.share(bot.spec.symbol, bot_id), self._account)
