"""The one state machine of an account: inputs in, recorded events and effects out.

Owns how a wish becomes an order, how a report becomes a fact, and how facts add up to the state. Must not know: files,
clocks, networks, protobuf, plugins' loading, the daemon.

Reading order: inputs, events, effects, state, fold, stops, view, turn, pipeline, orders, reports, bots, account,
protection, listing, machine.
"""
