"""Owns what all servicers share: the deck, the account's name, and how a request is known again."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Protocol

import grpc

from quarterdeck.engine.events import Recorded
from quarterdeck.engine.inputs import Request
from quarterdeck.rpc import names
from quarterdeck.rpc.facade import Deck

Context = grpc.aio.ServicerContext[Any, Any]

_DIGEST_BYTES = 16


class Mutation(Protocol):
    """Any request that changes something."""

    @property
    def request_id(self) -> str:
        """The caller's id of the wish."""

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802 - protobuf's own name
        """The message as bytes."""


class Servicer:
    """Base of all servicers. `account` is the account's name."""

    def __init__(self, deck: Deck) -> None:
        self._deck = deck
        self._account = names.account(deck.account_id)

    async def _settled(self) -> int:
        """Wait until what is in memory may be shown; returns the position it reflects."""
        deck = self._deck
        return deck.state.sequence if deck.is_settled else await deck.settled()


def identity(request: Mutation) -> Request:
    """What tells a retry from another request under the same id: a digest of the method's message."""
    said = type(request).__name__.encode() + b"\0" + request.SerializeToString(deterministic=True)
    return Request(request.request_id, blake2b(said, digest_size=_DIGEST_BYTES).hexdigest())


def place_of(recorded: Recorded | None, head: int) -> int:
    """Where a wish was recorded; the journal's head if there was nothing to record."""
    return head if recorded is None else recorded.sequence
