"""The event store: append-only history of what the sensors saw, with the intervals in which it is complete.

``schema`` is the flat relation that queries see, ``interface`` what every member offers, ``log`` the log-structured member
(Arrow IPC segments, then Parquet parts, both asked by DuckDB), ``wrap`` and ``flatten`` turn agents' batches and ``Event`` structs into its tables.
"""
