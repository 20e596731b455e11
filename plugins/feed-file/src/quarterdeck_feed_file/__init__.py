"""Market data feed for Quarterdeck from Parquet and CSV files of candles or trades."""
