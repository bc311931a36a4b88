"""Small pure helpers for text: hostile bytes, globs, CIDRs, time windows, version orders."""
