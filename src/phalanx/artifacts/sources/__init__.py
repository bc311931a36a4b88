"""Where files come from: each source walks its files once and hands out :class:`~phalanx.artifacts.sources.entry.Entry`."""
