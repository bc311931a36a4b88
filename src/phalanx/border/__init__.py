"""Borders: pure functions between phalanx's model and the standards of others, each format in a module of its own."""
