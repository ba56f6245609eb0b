"""Is synthetic noise like real noise? The parts of benchmarks/noise_audit.py.

crops       squares of noisy and clean pictures, of which everything is measured
recipes     noise of a training recipe on the clean pictures of a real set
sums        what is added up of each square
statistics  the statistics: curves computed from these sums, and the distance of two curves
comparison  distances of two sets, and how large sampling alone would make them
pictures    numbers of whole pictures, and how they are spread over the pictures of a set
results     the table for the terminal and the values for a file
page        the page with the plots
"""
