"""The words of phalanx as types: events, detections, findings, assets. No I/O.

``values`` holds the three values of a field (known, absent, UNKNOWN), ``columns`` the layout in which events travel and are kept.
"""
