"""A language model as writer and as rater: any LangChain chat model, or a scripted one when no key is set."""

import os
import sys
import tempfile

import rrm

if os.environ.get("OPENAI_API_KEY"):
    MODEL = {"model": "langchain_openai:ChatOpenAI", "arguments": {"model": "gpt-4o-mini", "temperature": 1.0}}
else:
    MODEL = {"model": "rrm.assistants.scripted_model:ScriptedChatModel"}

SETTINGS = {
    "name": "language-model",
    "assistants": {"model": MODEL},
    "train": {
        "plugin": "tasks.synthetic_book:SyntheticBooks",
        "arguments": {"count": 3, "words": 600, "seed": 20},
    },
    "target": {
        "plugin": "tasks.synthetic_book:SyntheticBooks",
        "arguments": {"count": 1, "words": 600, "seed": 21},
        "trees": 2,
    },
    "decomposer": {
        "plugin": "decomposers.chunks:Chunks",
        "arguments": {"leaf_tokens": 150, "fan_in": [4], "max_tokens": [40, 60]},
    },
    "policy": {"plugin": "rrm.policy.language_model:LanguageModelPolicy", "outputs": 3, "root_outputs": 4},
    "rater": {"plugin": "rrm.raters.assistant:AssistantRater", "per_node": {"comparison": 2, "label": 1}},
    "limits": {"max_calls": 500},
}


def main(out: str | None = None) -> None:
    report = rrm.run(rrm.run_file(SETTINGS), out or tempfile.mkdtemp())
    cost = report.cost
    print(f"{cost.calls} calls took {cost.tokens} tokens; {report.ratings} ratings")
    chosen = report.targets[0].chosen
    print("chosen:", chosen.text[:200] if chosen else "nothing")


if __name__ == "__main__":
    main(*sys.argv[1:2])
