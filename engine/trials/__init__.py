"""Seeded work and worlds with known truth, to measure what a swarm of small models is worth."""
