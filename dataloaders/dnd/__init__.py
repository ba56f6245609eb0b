"""The Darmstadt Noise Dataset (DND), laid out as `sidd` is.

    scenes      what info.mat says of each scene: Bayer pattern, noise level, boxes, colours
    files       DndData: the files of the data set, and their crops
    results     DndResults: a folder of denoised crops, which is the submission
    submission  the form that the server takes

DND has no public clean images, so that there are no scores.
"""
