"""The session: the current prime, style and parameters, the queue of jobs, and what is played."""
