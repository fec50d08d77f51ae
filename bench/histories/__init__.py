"""Seeded histories of contested tasks, and a checker that knows the true time."""
