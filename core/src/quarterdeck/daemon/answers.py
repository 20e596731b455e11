"""Owns waiting for an exchange that may break off: its cancelled future is its failure, not an order to stop here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def answer_of(asked: Awaitable[T]) -> T:
    """What an exchange answers.

    Raises:
        ConnectionAbortedError: it cancelled what was waited for, as a library does when it closes its connection. The
            request may have arrived. Unnoticed, this would end whoever asked, and nobody would ask again.
    """
    try:
        return await asked
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionAbortedError("the exchange broke the request off") from error
