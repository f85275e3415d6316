# ruff: noqa: I001  # one import a home
"""rrm: recursive reward modelling and task decomposition.

Names are imported when they are first used, so that `import rrm` is quick and loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the homes below once more, for programs that check types
    from rrm.api.front import (
        apply as apply,
        resume as resume,
        run as run,
        run_async as run_async,
    )
    from rrm.api.library import (
        Applied as Applied,
        apply_each as apply_each,
    )
    from rrm.api.loaded import (
        Loaded as Loaded,
        load as load,
    )
    from rrm.api.optimizing import optimize as optimize
    from rrm.api.options import (
        Event as Event,
    )
    from rrm.api.reward_function import reward_function as reward_function
    from rrm.api.runfile import run_file as run_file
    from rrm.core.errors import (
        AccessError as AccessError,
        AssistantError as AssistantError,
        BudgetError as BudgetError,
        ConfigError as ConfigError,
        ConflictError as ConflictError,
        ContractError as ContractError,
        InputError as InputError,
        Interrupted as Interrupted,
        LimitError as LimitError,
        LockedError as LockedError,
        LostCallError as LostCallError,
        LostRankError as LostRankError,
        MalformedAnswerError as MalformedAnswerError,
        MissingError as MissingError,
        NewerStoreError as NewerStoreError,
        NoAnswerError as NoAnswerError,
        PluginError as PluginError,
        ProposalError as ProposalError,
        RoleError as RoleError,
        RrmError as RrmError,
        SetupError as SetupError,
        ShapeError as ShapeError,
        StoreError as StoreError,
        Terminated as Terminated,
        UnreachableError as UnreachableError,
        Waiting as Waiting,
    )
    from rrm.core.graph import (
        GrowthBudget as GrowthBudget,
        Node as Node,
        Part as Part,
        Proposal as Proposal,
        TaskGraph as TaskGraph,
    )
    from rrm.core.kinds.comparison import Comparison as Comparison
    from rrm.core.kinds.correction import Correction as Correction
    from rrm.core.kinds.claims import ClaimMarks as ClaimMarks
    from rrm.core.kinds.critique import Critique as Critique
    from rrm.core.kinds.demonstration import Demonstration as Demonstration
    from rrm.core.kinds.hindsight import Hindsight as Hindsight
    from rrm.core.kinds.label import Label as Label
    from rrm.core.kinds.ranking import Ranking as Ranking
    from rrm.core.kinds.rating import Rating as Rating
    from rrm.core.kinds.reject import Reject as Reject
    from rrm.core.place import (
        Place as Place,
    )
    from rrm.core.protocols import (
        Along as Along,
        Assistant as Assistant,
        AsyncDecomposer as AsyncDecomposer,
        AsyncGrounder as AsyncGrounder,
        AsyncGrowingDecomposer as AsyncGrowingDecomposer,
        AsyncPolicy as AsyncPolicy,
        AsyncRater as AsyncRater,
        AsyncRollout as AsyncRollout,
        AsyncSheetRater as AsyncSheetRater,
        Cache as Cache,
        CallRecord as CallRecord,
        ClaimAligner as ClaimAligner,
        ClaimBeside as ClaimBeside,
        ClaimReader as ClaimReader,
        ClaimScores as ClaimScores,
        Composer as Composer,
        ComposerLearner as ComposerLearner,
        Decomposer as Decomposer,
        Density as Density,
        Divergence as Divergence,
        DivergenceAlong as DivergenceAlong,
        DrawnNode as DrawnNode,
        Encoder as Encoder,
        Entry as Entry,
        GoldSet as GoldSet,
        Grounder as Grounder,
        GrowingDecomposer as GrowingDecomposer,
        Improved as Improved,
        ImprovedSplits as ImprovedSplits,
        JoinedRating as JoinedRating,
        KnownRater as KnownRater,
        Listable as Listable,
        NodeSampler as NodeSampler,
        Optimiser as Optimiser,
        PlanRecord as PlanRecord,
        Policy as Policy,
        Prefetching as Prefetching,
        Prompt as Prompt,
        PromptContext as PromptContext,
        ProposeJob as ProposeJob,
        Ranks as Ranks,
        Rater as Rater,
        Reply as Reply,
        RecordedRatings as RecordedRatings,
        RecordedStep as RecordedStep,
        RewardLearner as RewardLearner,
        RewardModel as RewardModel,
        Rollout as Rollout,
        SampledDivergence as SampledDivergence,
        ScoredPart as ScoredPart,
        Seen as Seen,
        SourceSet as SourceSet,
        OutcomeOptimiser as OutcomeOptimiser,
        SplitOptimiser as SplitOptimiser,
        TreeOutcome as TreeOutcome,
        SplitSampler as SplitSampler,
        SplitScorer as SplitScorer,
        Start as Start,
        Store as Store,
        Tokenizer as Tokenizer,
        Verifier as Verifier,
        VerifierLearner as VerifierLearner,
        Workspace as Workspace,
    )
    from rrm.core.report import (
        Report as Report,
    )
    from rrm.core.roles import (
        Final as Final,
        Ratings as Ratings,
        Scorer as Scorer,
        Select as Select,
        Train as Train,
    )
    from rrm.core.task import (
        Source as Source,
        Span as Span,
        Task as Task,
    )
    from rrm.core.values import (
        Consequence as Consequence,
        Failure as Failure,
        Feedback as Feedback,
        Group as Group,
        Output as Output,
        Passage as Passage,
        Prediction as Prediction,
        Rated as Rated,
        Request as Request,
        Score as Score,
        Shown as Shown,
        View as View,
    )

__version__ = "0.1.0"

_HOMES = {
    "rrm.api.front": (
        "apply",
        "resume",
        "run",
        "run_async",
    ),
    "rrm.api.library": (
        "Applied",
        "apply_each",
    ),
    "rrm.api.loaded": (
        "Loaded",
        "load",
    ),
    "rrm.api.optimizing": ("optimize",),
    "rrm.api.options": ("Event",),
    "rrm.api.reward_function": ("reward_function",),
    "rrm.api.runfile": ("run_file",),
    "rrm.core.errors": (
        "AccessError",
        "AssistantError",
        "BudgetError",
        "ConfigError",
        "ConflictError",
        "ContractError",
        "InputError",
        "Interrupted",
        "LimitError",
        "LockedError",
        "LostCallError",
        "LostRankError",
        "MalformedAnswerError",
        "MissingError",
        "NewerStoreError",
        "NoAnswerError",
        "PluginError",
        "ProposalError",
        "RoleError",
        "RrmError",
        "SetupError",
        "ShapeError",
        "StoreError",
        "Terminated",
        "UnreachableError",
        "Waiting",
    ),
    "rrm.core.graph": (
        "GrowthBudget",
        "Node",
        "Part",
        "Proposal",
        "TaskGraph",
    ),
    "rrm.core.kinds.comparison": ("Comparison",),
    "rrm.core.kinds.correction": ("Correction",),
    "rrm.core.kinds.claims": ("ClaimMarks",),
    "rrm.core.kinds.critique": ("Critique",),
    "rrm.core.kinds.demonstration": ("Demonstration",),
    "rrm.core.kinds.hindsight": ("Hindsight",),
    "rrm.core.kinds.label": ("Label",),
    "rrm.core.kinds.ranking": ("Ranking",),
    "rrm.core.kinds.rating": ("Rating",),
    "rrm.core.kinds.reject": ("Reject",),
    "rrm.core.place": ("Place",),
    "rrm.core.protocols": (
        "Along",
        "Assistant",
        "AsyncDecomposer",
        "AsyncGrounder",
        "AsyncGrowingDecomposer",
        "AsyncPolicy",
        "AsyncRater",
        "AsyncRollout",
        "AsyncSheetRater",
        "Cache",
        "CallRecord",
        "ClaimAligner",
        "ClaimBeside",
        "ClaimReader",
        "ClaimScores",
        "Composer",
        "ComposerLearner",
        "Decomposer",
        "Density",
        "Divergence",
        "DivergenceAlong",
        "DrawnNode",
        "Encoder",
        "Entry",
        "GoldSet",
        "Grounder",
        "GrowingDecomposer",
        "Improved",
        "ImprovedSplits",
        "JoinedRating",
        "KnownRater",
        "Listable",
        "NodeSampler",
        "Optimiser",
        "PlanRecord",
        "Policy",
        "Prefetching",
        "Prompt",
        "PromptContext",
        "ProposeJob",
        "Ranks",
        "Rater",
        "Reply",
        "RecordedRatings",
        "RecordedStep",
        "RewardLearner",
        "RewardModel",
        "Rollout",
        "SampledDivergence",
        "ScoredPart",
        "Seen",
        "SourceSet",
        "OutcomeOptimiser",
        "SplitOptimiser",
        "TreeOutcome",
        "SplitSampler",
        "SplitScorer",
        "Start",
        "Store",
        "Tokenizer",
        "Verifier",
        "VerifierLearner",
        "Workspace",
    ),
    "rrm.core.report": ("Report",),
    "rrm.core.roles": (
        "Final",
        "Ratings",
        "Scorer",
        "Select",
        "Train",
    ),
    "rrm.core.task": (
        "Source",
        "Span",
        "Task",
    ),
    "rrm.core.values": (
        "Consequence",
        "Failure",
        "Feedback",
        "Group",
        "Output",
        "Passage",
        "Prediction",
        "Rated",
        "Request",
        "Score",
        "Shown",
        "View",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rrm' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
