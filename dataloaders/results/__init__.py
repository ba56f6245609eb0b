"""Files in, results out.

denoised_files  denoises photos and camera files into a folder
matched_files   writes photos and films in the colours of other views
summary         which files of a run were made, kept or skipped
"""
