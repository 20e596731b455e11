"""Paper exchange for Quarterdeck: the matching fold behind the exchange interface."""
