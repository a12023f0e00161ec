"""The hyper-realistic database: real pairs, synthetic ruptures, storage."""
