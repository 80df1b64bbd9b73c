"""The simulator's command line, one module a group of commands."""
