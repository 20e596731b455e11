"""Bybit's past, in files that the file feed reads.

Owns fetching, keeping and checking candles and funding rates. Reading order: store, download, cli.
"""
