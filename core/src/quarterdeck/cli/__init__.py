"""The `quarterdeck` command line for daemon and client work."""
