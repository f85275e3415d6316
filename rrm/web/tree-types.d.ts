// Types of the tree viewer's scripts, for the type checker alone: no page loads this file and no wheel holds it.

/** What the tree viewer is sent as JSON; the server's side stands in tree.py, outline.py and node.py. */
declare namespace Tree {
  type State = "empty" | "proposed" | "rated" | "scored" | "chosen" | "failed";

  // ---- the list of trees and a tree's outline ----

  interface About {
    id: string;
    title: string;
    number: number | null;
    role: "target" | "train" | null;
    nodes: number | null;
    height: number | null;
    states: Partial<Record<State, number>> | null;
    errors: number | null;
  }
  interface List {
    version: string;
    trees: About[];
    failed: { title: string; error: string; cause: string }[];
    note: string | null;
  }
  /** What a whole outline tells of its tree: everything is counted. */
  interface Counted extends About {
    nodes: number;
    height: number;
    states: Partial<Record<State, number>>;
    errors: number;
  }
  /** One entry a node; `state` holds places in `states`. */
  interface Columns {
    version: string;
    unchanged?: undefined;
    about: Counted;
    note: string | null;
    parent: number[];
    also: Record<string, number[]>;
    level: number[];
    title: string[];
    open: number[];
    states: State[];
    state: number[];
    score: (number | null)[];
    low: (number | null)[];
    high: (number | null)[];
    ratings: number[];
    errors: number[];
    composed: boolean;
  }
  interface Unchanged { version: string; unchanged: true }
  interface Found { nodes: number[]; of: number }

  // ---- one node ----

  /** The beginning of a text, and how many characters the whole has. */
  interface Cut { text: string; length: number }
  interface Link { node: number | null; id: string; title: string }
  interface Score { mean: number; low: number | null; high: number | null }
  interface Scored extends Score { reward: { mean: number; low: number; high: number }; members: number; model: string }
  interface Source { id: string; title: string; start: number; end: number; of: number; text: Cut }
  interface Output {
    number: number;
    id: string;
    text: Cut;
    policy: string;
    /** In which it was proposed first, from 0; null of one that no run proposed. */
    round: number | null;
    seed: string;
    inputs: string[];
    context: string[];
    log_prob: number | null;
    truncated: boolean;
    own: Scored | null;
    flat: Scored | null;
    composed: Score | null;
    chosen: boolean;
    handed_up: boolean;
    /** Whether what its sentences rest on is on record. */
    traced: boolean;
  }
  interface Judgement {
    kind: string;
    said: string;
    text: Cut | null;
    spans: [number, number][];
    rater: string;
    seconds: number | null;
    confidence: number | null;
    at: number | null;
    state: "recorded" | "waiting" | "undone" | "requeued" | "adjudicated" | "check";
    decision: boolean;
  }
  interface Request extends Wire.Placed {
    id: string;
    criterion: string;
    kind: string;
    copy: number;
    guideline: string;
    shown: (number | null)[];
    answers: Judgement[];
    failures: string[];
  }
  interface Model extends Wire.Placed { id: string; digest: string; ratings: number }
  interface Cost { outputs: number; ratings: number; rater_seconds: number | null; timed: number }
  interface NodeData {
    tree: string;
    version: string;
    node: number;
    id: string;
    title: string;
    level: number;
    depth: number;
    open: boolean;
    parents: Link[];
    parts: Link[];
    before: Link | null;
    instruction: Cut;
    max_tokens: number;
    context_tokens: number;
    note: Cut;
    skipped: [number, number][];
    source: Source | null;
    read: Record<string, Link & { text: Cut }>;
    outputs: Output[];
    outputs_in_all: number;
    requests: Request[];
    requests_in_all: number;
    failures: { step: string; error: string; cause: Cut }[];
    refusals: Cut[];
    /** Whether more rounds than the first are on record. */
    rounds: boolean;
    models: Model[];
    blame: number | null;
    cost: Cost;
    calls: CallSums;
  }

  // ---- a node's model calls ----

  /** What calls took; null where nothing of it is known. */
  interface Spent { seconds: number; input_tokens: number | null; output_tokens: number | null; cost: number | null }
  interface CallSums extends Spent { calls: number; cached: number; failed: number }
  interface Call extends Spent {
    id: string;
    asker: string;
    about: string;
    assistant: string;
    system: Cut;
    user: Cut;
    sample: string;
    attempt: number;
    at: number;
    reply: Cut | null;
    reason: Cut | null;
    error: Cut | null;
    cached: boolean;
  }
  /** Some of the calls, and the number after which the rest is; null where that is all. */
  interface Calls { calls: Call[]; next: number | null }

  // ---- what the sentences of an output rest on ----

  interface ClaimFacts {
    text: string;
    grounded: boolean;
    lost: number;
    cited: boolean;
    score: number;
    /** How probably what it comes to rest on supports it; null where no model was asked. */
    support: number | null;
    /** What the root's score would rise by, above all steps higher up, if this one were undone; null: not found out. */
    blame: number | null;
  }
  interface ClaimStep extends ClaimFacts { depth: number; node: Link }
  interface QuoteStep { depth: number; node: null; text: string; span: [number, number]; before: string; after: string }
  interface Claim extends ClaimFacts {
    /** The step that loses most of the root's score, without a node where several lose as much; null where none loses
     *  much, or nobody found out. */
    worst: { blame: number; steps: number; node: Link | null } | null;
    steps: (ClaimStep | QuoteStep)[];
  }
  interface ClaimList { claims: Claim[] }
}

declare namespace Wire {
  interface Gets {
    [trees: `/api/trees?${string}`]: Tree.List;
    [outline: `/api/trees/${string}/outline`]: Tree.Columns;
    [since: `/api/trees/${string}/outline?since=${string}`]: Tree.Columns | Tree.Unchanged;
    [node: `/api/trees/${string}/nodes/${string}`]: Tree.NodeData;
    [calls: `/api/trees/${string}/calls/${string}?${string}`]: Tree.Calls;
    [claims: `/api/trees/${string}/claims/${string}`]: Tree.ClaimList;
    [search: `/api/trees/${string}/search?${string}`]: Tree.Found;
  }
}
