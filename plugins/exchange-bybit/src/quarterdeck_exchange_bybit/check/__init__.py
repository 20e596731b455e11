"""Asks Bybit itself whether what this plugin takes for true of it is so.

Owns the questions and their report. It places the smallest orders there are, far from the market, under names no daemon
gives, and takes them away again.

Reading order: report, desk, rules, streams, fills, run.
"""
