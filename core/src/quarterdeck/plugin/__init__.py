"""All that a plugin author imports: hook specifications, protocols and the strict loader."""
