"""Speech that is made later: it outlives the request, the caller and the process."""
