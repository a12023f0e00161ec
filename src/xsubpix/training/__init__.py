"""Training of the networks: samples, second dates, losses, loop and evaluation."""
