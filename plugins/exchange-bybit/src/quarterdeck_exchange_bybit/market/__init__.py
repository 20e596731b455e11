"""Bybit's market as it is told: what is believed of it, in which order, and what has to be asked for again.

Owns everything between a message of a public topic and a market event, without any I/O. Must not know: sockets, REST.

Reading order: sieve, quarantine, outbox, series, watch, tape, repair, listener.
"""
