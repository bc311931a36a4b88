"""Notifications: findings go where people already look.

``message`` makes the text, ``queue`` groups and limits it, ``apprise_channel``, ``webhook`` and ``syslog`` carry it. A channel that fails is tried again with
growing pauses, and what could not be sent is counted and told with the next message: nothing is lost without a word, and no storm of findings becomes a
storm of messages.
"""
