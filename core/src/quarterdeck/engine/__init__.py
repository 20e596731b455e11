"""The one state machine: decides and folds, without I/O, clock or randomness."""
