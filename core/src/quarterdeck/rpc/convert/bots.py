"""Owns bots on the wire, and their settings: a strategy's own table, kept as one canonical JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, SerializeToJsonError
from google.protobuf.struct_pb2 import Struct

from quarterdeck.domain.bot import BotSpec, BotState
from quarterdeck.domain.errors import InvalidRequest
from quarterdeck.domain.position import Position
from quarterdeck.engine.state import BotRecord
from quarterdeck.rpc import names
from quarterdeck.rpc.convert.values import choices, numbers, prose, rounded, set_span, set_time, span_of, text
from quarterdeck.v1 import bot_pb2

BOT_STATES = numbers(BotState, bot_pb2.Bot.State, "STATE")
BOT_STATE_OF = choices(BOT_STATES)

_EXACT_BELOW = 2**53  # whole numbers a double holds exactly


def settings_text(table: Mapping[str, Any]) -> str:
    """Settings as the one JSON text that stands for them: keys sorted, whole numbers without a point.

    Raises:
        ValueError: a number is infinite or none.
    """
    return json.dumps(_whole(table), sort_keys=True, allow_nan=False)


def _whole(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """JSON as it was before protobuf made a double of every number."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_BELOW:
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value


def _read_settings(settings: Struct) -> str:
    try:
        return settings_text(MessageToDict(settings))
    except (SerializeToJsonError, ValueError) as error:
        raise InvalidRequest("bot.settings", str(error)) from error


def write_spec(message: bot_pb2.Bot, spec: BotSpec, account: str) -> None:
    """Write what a bot is made of. `account` is the account's name."""
    message.name = names.bot(spec.bot_id)
    message.account = account
    message.strategy = spec.strategy
    message.instrument = names.instrument(spec.symbol)
    set_span(message.interval, spec.interval)
    ParseDict(json.loads(spec.settings), message.settings)


def read_spec(message: bot_pb2.Bot, bot_id: str) -> BotSpec:
    """Read what a bot is made of.

    Raises:
        InvalidRequest: its settings hold an infinite number or none.
    """
    return BotSpec(
        bot_id,
        message.strategy,
        names.symbol_of(message.instrument),
        span_of(message.interval),
        _read_settings(message.settings),
    )


def bot_message(bot: BotRecord, share: Position, account: str) -> bot_pb2.Bot:
    """A bot as it stands. `share` is its part of the position, `account` the account's name."""
    message = bot_pb2.Bot(state=BOT_STATES[bot.state], failure=prose(bot.failure), trades=bot.trades)
    write_spec(message, bot.spec, account)
    message.quantity.value = text(share.quantity)
    average = share.average_price
    if average is not None:
        message.average_price.value = rounded(average)
    message.realized_pnl.value = rounded(share.realized_pnl)
    message.fees.value = rounded(share.fees)
    set_time(message.create_time, bot.create_time)
    set_time(message.update_time, bot.update_time)
    return message
