"""Identity and rank of findings: which statements are the same one (``fingerprint``), and how much each matters, with reasons (``rank``)."""
