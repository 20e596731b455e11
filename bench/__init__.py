"""Measures Quarterdeck beside bare servers that do the same transport and nothing else.

`python -m bench` runs everything and prints a table and, on the last line, JSON. Rates are paired: the bare server and
the daemon take short turns under one client process, and the figure is the median of the turns' ratios. Absolute
numbers depend on the machine; the ratios are what to compare.

Reading order: load (the client), bare (the limits), daemon (starting the real one), control (the control plane),
flow (candles, start and restart), engine (no I/O at all).
"""
