"""What kopf calls: one handler for every event of every watched kind, which notes it and returns. kopf is the informer, and nothing else."""
