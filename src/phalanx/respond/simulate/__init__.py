"""Harmless attacks, performed for real in private worlds, and their benign twins.

- :mod:`.stage`: namespaces, a scratch file system and a network that leads nowhere; :mod:`.container`: a real container on it;
- :mod:`.acts`: for each rule of phalanx its attack, and the twin that differs from it in one stated fact;
- :mod:`.perform`: one act in a process of its own.
"""
