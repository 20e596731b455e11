"""The shell around the engine: everything that touches the world.

Owns configuration, the clock, the loop that writes down before it acts, the journal, the links to feed and venue, and
the order of start and stop. Must not know: how orders are decided (the engine) or what the wire looks like (rpc).

Reading order: config, parts, clock, loop, records, journal, event_log, notary, keeper, intake, order_link, feed_link,
market_data, bots, reconcile, deck, core, app. Beside them: disk, crashes, failpoints.
"""
