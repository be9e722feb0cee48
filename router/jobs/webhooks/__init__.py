"""TELL THEM: who asked to be called back is told how a job ended, at least once."""
