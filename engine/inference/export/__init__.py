"""What runs in the quantizer's own environment, and what that environment holds.

Guards: nothing in here imports PocketHive, and nothing of PocketHive but tests imports it; it has a
folder of its own, so that none of our files hides a library from it.
"""
