"""The shell around the engine: configuration, clock, journal, loop, feed and order links."""
