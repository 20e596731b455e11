"""Facts and arithmetic of trading; standard library only."""
