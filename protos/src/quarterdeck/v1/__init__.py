"""The contract, version 1: messages and services generated from the `quarterdeck.v1` protocol buffers."""
