"""Frames for the calibration of a camera's noise: read, judged, sorted, and what came of them.

finding          the files in the folders that a user gives
reading          one camera file in digital numbers, with what it says about itself
sidd_frames      the same of the noisy frames of SIDD-Medium
collection       all frames: which belong together, which cannot be used and why
unpacked         the frames of one ISO setting as arrays that lie on the disk
measuring        one ISO setting after the other
report           the page of HTML that shows what was measured
plots            its charts
pictures         estimates from ordinary pictures, where there are no frames
pictures_report  what these say, for the camera's file and as a page
"""
