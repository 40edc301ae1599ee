"""What reaches a process from outside: signals, and other processes."""
