"""Follow an account: a copy of it that stays current, over restarts of the daemon too, and every event as it comes.

    python examples/follow_account.py [ADDRESS [EVENTS]]

Ends after so many events, or goes on until it is interrupted.
"""

from __future__ import annotations

import asyncio
import sys

from quarterdeck.client import DEFAULT_TARGET, AccountState, Client, Event, Replica


async def main(address: str = DEFAULT_TARGET, events: str = "") -> None:
    """Print what happens."""
    async with Client.connect(address) as client, Replica(client) as replica:
        replica.on_event(show)
        print(f"{replica.state.sequence} is where this begins", flush=True)
        end = replica.state.sequence + int(events) if events else None
        await replica.wait_for(lambda state: end is not None and state.sequence >= end)


def show(event: Event, state: AccountState) -> None:
    """One event, and what the account has after it."""
    held = ", ".join(f"{holding.quantity} {symbol}" for symbol, holding in state.positions.items()) or "nothing"
    wallets = ", ".join(f"{amount} {currency}" for currency, amount in state.wallets.items())
    print(f"{event.sequence} {event.type}: holds {held}; {wallets}; {len(state.orders)} orders", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
