"""Distribution matching: the policy nearest to the anchor whose mean acceptance is 0.55, in texts as long as before."""

from world import NamesNobody, extractive, show

from rrm.policy.matching import Matching

if __name__ == "__main__":
    show(Matching(targets={"acceptance": 0.55}), extractive(), NamesNobody())
