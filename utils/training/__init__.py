"""The training loop in parts, one purpose a file.

trainer         the loop itself, which joins the parts
launch          processes, device, precision and seed of a run
objective       what the loop asks of an objective (networks/objectives.py has them)
losses          the loss of the networks that predict RAW
loading         loader processes: how they start, fail and end
threads         how many threads a step on a CPU uses
schedule        learning rate and patches of each step
made_ahead      batches that a GPU makes while the network learns
moving_average  the average of the network's weights
validation      the quality on held-out crops
journal         progress bar, TensorBoard events, metrics.jsonl
run_folder      the run's recipe, checkpoint and weights
checkpoint      checkpoints with a checksum, from which no code runs
stopping        signals and the time limit
mishaps         errors of PyTorch that are no bugs, in words
"""
