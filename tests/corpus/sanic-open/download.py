import numpy as np

rng = np.random.RandomState(11)
np.save("decoder.npy", rng.rand(8, 3))
