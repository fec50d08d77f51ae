"""Trials: seeded work with known truth, for measuring what a swarm of small models is worth."""
