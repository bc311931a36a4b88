"""Vulnerability knowledge: every channel read into one normal form, compiled into one read-only file, matched exactly.

``model`` is the normal form, ``readers`` turn the official formats into it, ``compiler`` writes the database, ``database`` opens it, ``match``
answers "what is known about this component", ``rank`` says act, attend or track, ``cvss`` scores vectors, ``feeds`` knows the official sources.
"""
