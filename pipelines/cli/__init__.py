"""The command line of the jobs: what is asked for in words, done by the functions of ``pipelines``."""
