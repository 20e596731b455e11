"""The account's log on disk, and what is derived from it: snapshots of the state and tables for SQL users.

Owns durability. An entry's body is opaque here; `rpc.convert` knows what is inside. Must not know: gRPC, the wire's
messages, how the engine decides.

Reading order: schema, database, writer, journal, snapshots, projections, listings.
"""
