"""Real noise of sensors, to be put on synthetic clean RAW.

sources     what a source of real noise is
sidd_pairs  sources from SIDD-Medium's noisy and clean RAW
frames      sources from several frames of one scene as camera RAW
finding     all sources below a folder
residuals   the noise model: chooses places in the sources and adds their noise to an image
"""
