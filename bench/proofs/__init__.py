"""The proofs that `bench.prove` runs, by what they are about."""
