"""The distributed hash tables that `bench.dht` holds against each other, one process each."""
