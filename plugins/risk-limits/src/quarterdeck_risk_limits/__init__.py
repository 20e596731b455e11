"""Risk limits for Quarterdeck: position, notional, loss, drawdown, price band, order rate."""
