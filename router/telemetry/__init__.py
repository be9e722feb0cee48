"""What happened: observers. Nobody imports them but `app`."""
