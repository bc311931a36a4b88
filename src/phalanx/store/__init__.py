"""The two stores: ``events`` (append-only history) and ``state`` (what people and the platform decide). Neither commits for the other."""
