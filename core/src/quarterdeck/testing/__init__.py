"""Shipped test tools: compliance suites per plugin kind, fakes, a seeded world."""
