"""Types of the native filter."""

class Filter:
    def __init__(self, types: dict[int, tuple[list[bytes], ...] | None]) -> None: ...
