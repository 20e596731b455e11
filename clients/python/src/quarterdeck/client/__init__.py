"""The Python client of the daemon; it knows the contract and nothing else of Quarterdeck."""
