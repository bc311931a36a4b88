"""Sensors: they observe, and emit model events only."""
