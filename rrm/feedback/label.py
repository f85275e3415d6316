"""Labels: how probable it is that a rater accepts an output, given its reward."""

from torch import Tensor, where
from torch.nn.functional import logsigmoid

from rrm.feedback.shapes import at_least_float32, same_shape


def log_prob(reward: Tensor, good: Tensor) -> Tensor:
    """Log-probability [...], in nats, of each label: P(good) = sigmoid(reward).

    `reward` is floating [...], the logit of acceptance (an intercept is the caller's to add);
    `good` is boolean [...]. Raises ShapeError if the shapes differ. The label is a choice between
    the output and a threshold of reward 0: Jeon et al. (2020), arXiv:2002.04833.
    """
    same_shape(reward=reward, good=good)
    score = at_least_float32(reward)
    return logsigmoid(where(good, score, -score))
