"""Reports as one HTML file that needs nothing else: text, tables, pictures and charts in it.

page        the file, and its headings, paragraphs and tables
pictures    small pictures and cuts, inside of the file
chart       lines, points and histograms as inline SVG
axes        the scales of a chart: from values to places, and round numbers along them
statistics  histograms, and variance against intensity
values      measured values with their standard errors, in words
runs        what reports of all runs have in common; their writing, also when a run is stopped
"""
