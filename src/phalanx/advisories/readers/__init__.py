"""Readers of the official advisory formats: bytes or rows in, the normal form of ``phalanx.advisories.model`` out.

A reader never fails on one bad record: it counts it with its reason (:class:`Tally`) and goes on.
"""
