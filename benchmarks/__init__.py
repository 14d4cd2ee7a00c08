"""Speed and memory, measured as ratios within one run. `make bench` prints the table and writes the same as JSON."""
