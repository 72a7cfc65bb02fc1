"""Models in place: the checks, engines and results of a job, in this process and without one."""
