"""Rewriting of first-party modules when they are imported: `transform` (the tree), `scope` (which modules), `importer` (the hook and its cache)."""
