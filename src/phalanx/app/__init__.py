"""Wiring: configuration, the hub, the agent, and the supervisor that runs both on one machine."""
