"""Bybit V5's messages and what they mean here, without any I/O.

Owns reading and writing everything that goes over the wire. What lacks a field it can't do without is refused by name
(`Malformed`); a word nobody here knows is kept. Must not know: sockets, clocks, threads, pybit.

Reading order: row, words, listing, codes, frames, orders, executions, account, market, orderbook.
"""
