"""One servicer per service of the contract, each in its file. They translate and delegate; nothing is decided here.

A read waits until what is in memory is durable, and then answers from it without waiting again. A wish is handed to the
`Deck` with the id and digest of its request, so that a retry finds its first outcome.
"""
