"""Who may do what, how they prove who they are, and what they did.

``permissions`` is the one table of roles; ``actor`` who asks; ``passwords``, ``sessions`` and ``tokens`` how one shows it; ``audit`` the
hash-chained trail of operators' acts. Secrets are kept as digests only: what the state store holds opens no door.
"""
