"""Files in, results out.

denoised_files  denoises photos and camera files into a folder
denoised_raw    a camera file in, its denoised DNG and rendering out
matched_files   writes photos and films in the colours of other views
view_pairs      which photo takes the colours of which
films           colour tables, averaged over the frames of a film
result_folder   which file of a folder is whose, what is missing, what must not be replaced
records         the lines that say which results were made from what
known_sources   which source a record belongs to
summary         which files of a run were made, kept or skipped
"""
