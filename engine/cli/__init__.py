"""The command line: thin shells over `Swarm`, `Device` and the model catalogue."""
