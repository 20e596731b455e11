"""Generates what in this folder follows from code: `python -m docs --write`, and `--check` in the tests."""
