"""The steps. Each is what it was when it was written: it may not import what changes, such as the tables of today."""
