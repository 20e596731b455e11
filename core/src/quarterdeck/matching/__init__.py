"""A venue as a pure fold over market data: fills, fees, funding, stops, liquidation."""
