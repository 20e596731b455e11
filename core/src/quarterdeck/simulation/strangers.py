"""Owns those who send a daemon what nobody should: requests of any content, valid by chance, past the real rules.

What is answered has to be one of the contract's errors; what gets through is judged with everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from protovalidate import Validator

from quarterdeck.daemon.deck import DaemonDeck
from quarterdeck.rpc import names
from quarterdeck.rpc.errors import answer_to
from quarterdeck.rpc.pages import Listings
from quarterdeck.rpc.servicers.orders import OrderServicer
from quarterdeck.simulation.callers import Line
from quarterdeck.v1.order_service_pb2 import DESCRIPTOR

_METHODS = DESCRIPTOR.services_by_name["OrderService"].methods

#: Codes that say what is wrong with a call; any other is a bug.
FORESEEN = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)  # fmt: skip

_TEXTS = (
    "", "0", "-1", "0.01", "0.1", "1", "60000", "3000.5", "1e5", "NaN", "Infinity", "00.1", ".5", "1.", "9" * 40,
    "0." + "0" * 30 + "1", "\0", "ä" * 70, "accounts/main", "accounts/other", "accounts/main/orders/order-1",
    "accounts/main/orders/../x", "accounts/main/positions/btcusdt", "instruments/btcusdt", "instruments/ethusdt",
    "instruments/none", "accounts/main/bots/bot-btc", "order-1", "UPPER", "a" * 63, "a" * 64,
)  # fmt: skip


#: What belongs in a field, by its name.
_SENSE: Mapping[str, Sequence[object]] = {
    "parent": ("accounts/main",),
    "name": ("accounts/main/orders/order-1", "accounts/main/orders/order-7", "accounts/main/positions/btcusdt"),
    "instrument": ("instruments/btcusdt", "instruments/ethusdt"),
    "side": (1, 2),
    "type": (1,),
    "value": ("0.01", "0.02", "7", "100000"),
    "reason": ("just so",),
}


@cache
def _validator() -> Validator:
    """The contract's rules; compiled once, since that takes longer than a run."""
    return Validator()


class Stranger:
    """Sends anything, as a process of the network would."""

    def __init__(self, line: Line, dice: Random, per_hour: float) -> None:
        self.complaints: list[str] = []
        self._line = line
        self._dice = dice
        self._per_hour = per_hour

    async def live(self) -> None:
        """Send as long as the run goes on."""
        while self._line.is_trading:
            await asyncio.sleep(self._dice.expovariate(self._per_hour / 3600))
            deck, process = self._line.deck, self._line.process
            if deck is not None and process is not None and process.is_alive:
                _ = self._line.loop.start(process, self._send(deck))

    async def _send(self, deck: DaemonDeck) -> None:
        method = self._dice.choice(_METHODS)
        kind = GetMessageClass(method.input_type)
        raw = self._anything(kind(), self._dice.choice((0.0, 0.05, 0.3))).SerializeToString()
        if raw and self._dice.random() < 0.1:
            raw = raw[: self._dice.randrange(len(raw))]
        try:
            request = kind.FromString(raw)
            _validator().validate(request)
            await getattr(OrderServicer(deck, Listings()), method.name)(request, None)
        except DecodeError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the table says what is seen of it
            code, _ = answer_to(error, names.account(deck.account_id), f"/{method.full_name}")
            if code not in FORESEEN:
                self.complaints.append(f"{method.name} ended with {code} ({error!r}) for {raw!r}")

    def _anything(self, message: Message, sloppiness: float, depth: int = 3) -> Message:
        """Fill a message with what belongs there, or now and then with what does not."""
        dice = self._dice
        for field in message.DESCRIPTOR.fields:
            if field.is_repeated:
                continue
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                if depth and (field.name in ("order", "quantity") or dice.random() < sloppiness):
                    self._anything(getattr(message, field.name), sloppiness, depth - 1)
            elif dice.random() < sloppiness:
                setattr(message, field.name, self._nonsense(field))
            elif field.name in _SENSE:
                setattr(message, field.name, dice.choice(_SENSE[field.name]))
            elif field.name in ("request_id", "order_id"):
                setattr(message, field.name, str(UUID(int=dice.getrandbits(128), version=4)))
        return message

    def _nonsense(self, field: Any) -> object:  # noqa: ANN401 - a descriptor, of one of two implementations
        dice = self._dice
        match field.type:
            case FieldDescriptor.TYPE_STRING:
                return dice.choice(_TEXTS)
            case FieldDescriptor.TYPE_BYTES:
                return dice.randbytes(dice.randrange(40))
            case FieldDescriptor.TYPE_BOOL:
                return dice.random() < 0.5
            case FieldDescriptor.TYPE_ENUM:
                return dice.choice((0, 1, 1, 2, 2, 3, 99))
            case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
                return dice.choice((0.0, -1.0, 1e300, float("nan"), float("inf")))
            case _:
                return dice.choice((0, 1, 7, 1_000, 2**31 - 1))
