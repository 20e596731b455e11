"""The one place that knows both the domain and the wire: every translation between them, and nothing else.

Owns how amounts, times and enums are spelt in messages, and the event codec. Must not know: gRPC, the journal, the
daemon. What comes in has passed the contract's rules; what is written keeps them.

Reading order: values, sizing, orders, bots, order_events, account_events, envelope, account, market,
system.
"""
