"""A seeded world in which everything around the core misbehaves, and the judge who says whether the core held.

Owns the simulation: the real engine, journal, loop, order link and reconciliation run on a virtual clock, with a venue,
a disk, a network and callers that lose, delay, double, reorder and lie, and a process that is killed at any moment. The
same seed is the same run. Must not know: the command line, any plugin by name beyond the bundled defaults' own.

Reading order: loop (time and processes), faults, market, truth, venue, exchange, disk, callers, readers, plan,
world (one run), nemesis (trouble), invariants (what must hold), runner (many runs).
"""
