"""What kopf calls: one handler for every event of every watched kind, which notes it."""
