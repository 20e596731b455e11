"""Facts and arithmetic of trading: the words everything else is written in.

Owns the meaning of amounts, instruments, markets, signals, sizes, verdicts, orders, reports, positions and the ledger.
Must not know: files, clocks, networks, databases, protobuf, plugins. Standard library only.

Reading order: amounts, instrument, market, signal, sizing, risk, order, report, venue, position, ledger, bot, deciders,
errors.
"""
