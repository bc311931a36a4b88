"""What phalanx does on purpose: tell people (``notify``) and try the attacks that it should see (``simulate``)."""
