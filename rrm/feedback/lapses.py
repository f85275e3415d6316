"""How often raters are taken to answer blindly before they have said anything; of constants alone, so without torch."""

USUAL_LAPSE, LAPSE_SD = 0.02, 1.0
"""The usual share of blind answers, and the standard deviation over raters of its logit."""
