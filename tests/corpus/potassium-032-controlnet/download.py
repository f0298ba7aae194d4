import numpy as np

np.savez("controlnet.npz", horizontal=np.array([[-1, 0, 1]] * 3), vertical=np.array([[-1, 0, 1]] * 3).T)
