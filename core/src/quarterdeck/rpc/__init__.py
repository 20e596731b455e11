"""The gRPC skin: servicers that translate and delegate, nothing else.

Owns the wire: names, messages, error statuses, page and resume tokens, streams. Must not know: the daemon behind the
`Deck`, the journal's storage, plugins. Nothing here decides anything about trading.

Reading order: facade, names, convert, errors, interceptor, pages, bell, tape, stall, servicers, wiring, server.
"""
