"""Bybit V5 for Quarterdeck: spot and linear perpetuals on a Unified Trading Account.

Owns everything that is particular to Bybit. Must not know: the engine, the daemon, other plugins.
"""
