"""What ``benchmarks/answers.py`` measures with: a module a sub-command, and the measures of wording they share."""
