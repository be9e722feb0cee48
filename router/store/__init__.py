"""What outlives the process: one database, written by one task of each process."""
