"""What remote providers share: one HTTP client, one table of failures, one check of the sound."""
