"""Owns the methods of the client: one module for each noun, one method for each method of the contract.

Instruments, orders, bots and accounts are given by id or by full name. Every mutation takes a `request_id` (a UUID,
made anew if none is given): calling again with the same one and the same content is safe, and records nothing twice.
"""
