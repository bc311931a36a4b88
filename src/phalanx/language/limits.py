"""The stated bounds of rule text: it comes from users, and from whoever writes to a repository that users load from."""

from __future__ import annotations

from typing import Final

MAX_FILE_CHARS: Final = 8_000_000
"""Longest rule file. The three public Falco files have 0.25 M together."""
MAX_FILES: Final = 1_000
MAX_YAML_NODES: Final = 400_000
"""Nodes of one file, an alias counted as often as it is used (so that a "billion laughs" ends here)."""
MAX_YAML_DEPTH: Final = 24
"""Nesting of a rule file; exceptions need 6."""
MAX_CONDITION_CHARS: Final = 200_000
MAX_NESTING: Final = 100
"""Nested parentheses of one condition, and depth of a condition after its macros."""
MAX_WEIGHT: Final = 50_000
"""Comparisons of one condition after its macros, each counted as often as it is reached."""
MAX_PROBLEMS: Final = 2_000
"""Problems that are told of one rule set; then reading ends."""
MAX_LIST_ITEMS: Final = 100_000
"""Values of one list after the lists in it."""
MAX_PATTERN_CHARS: Final = 4_000
"""Longest regular expression or glob."""
MAX_PATTERN_BYTES: Final = 2_000_000
"""Memory that RE2 may take for one pattern (its program and its cache of states)."""
MAX_OUTPUT_CHARS: Final = 16_384
"""Longest rendered output of a rule."""
MAX_VALUE_CHARS: Final = 512
"""Longest value that is kept in an explanation."""
