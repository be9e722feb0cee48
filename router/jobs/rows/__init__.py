"""WHAT IS WRITTEN DOWN: the statements of jobs, each a function of one transaction."""
