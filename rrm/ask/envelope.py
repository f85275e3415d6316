"""The expected maximum of lines in one normal variable, exactly: what knowing it is worth where one line is chosen."""

import numpy as np
from scipy.special import ndtr


def envelope_gain(intercepts: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Return E[max_j (a_j + b_j z)] - max_j a_j for a standard normal z, over the last axis of [..., k] lines.

    The upper envelope is walked from its flattest line on. At every corner c, where a line steeper by r takes over, r
    f(-|c|) is added, with f(z) = phi(z) + z Phi(z) (Frazier, Powell and Dayanik 2009, knowledge gradient for correlated
    beliefs). No term is negative and nothing cancels, however far the best line is ahead.
    """
    shape = np.broadcast_shapes(intercepts.shape, slopes.shape)
    a = np.broadcast_to(intercepts, shape).reshape(-1, shape[-1])
    b = np.broadcast_to(slopes, shape).reshape(-1, shape[-1])
    gain = np.zeros(len(a))
    rows = np.arange(len(a))
    # the line that is highest far to the left: the flattest, of several the highest
    flattest = b == b.min(axis=1, keepdims=True)
    line = np.where(flattest, a, -np.inf).argmax(axis=1)
    while len(rows):
        here = np.arange(len(rows))
        rise = b - b[here, line][:, None]
        lead = a[here, line][:, None] - a
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            corner = np.where(rise > 0, lead / rise, np.inf)
        first = corner.min(axis=1, keepdims=True)
        # of several that take over at one place the steepest goes on
        line = np.where((corner == first) & (rise > 0), rise, -np.inf).argmax(axis=1)
        on = np.isfinite(first[:, 0])
        gain[rows[on]] += (rise[here, line] * _loss(-np.abs(first[:, 0])))[on]
        rows, a, b, line = rows[on], a[on], b[on], line[on]
    return gain.reshape(shape[:-1])


def _loss(z: np.ndarray) -> np.ndarray:
    """Return phi(z) + z Phi(z) for z <= 0, the loss of a standard normal; never negative, 0 at -inf."""
    near = np.maximum(z, -40.0)  # further away it is zero in double precision
    return np.asarray(np.maximum(np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi) + near * ndtr(near), 0.0))
