"""Reports as one HTML file that needs nothing else: text, tables and charts in it.

page   the file, and its headings, paragraphs and tables
chart  lines, points and histograms as inline SVG
axes   the scales of a chart: from values to places, and round numbers along them
values measured values with their standard errors, in words
"""
