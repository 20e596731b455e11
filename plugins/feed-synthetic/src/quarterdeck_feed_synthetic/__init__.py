"""Seeded synthetic market data feed for Quarterdeck with switching regimes."""
