// Types of the pages' scripts, for the type checker alone: no page loads this file and no wheel holds it.

/** What pages and server send each other as JSON; the server's side stands in kinds.py, shown.py, figures.py, rater/ and admin/. */
declare namespace Wire {
  type Kind = "comparison" | "hindsight" | "ranking" | "rating" | "label" | "correction" | "demonstration" | "critique" | "claims" | "reject";
  type Role = "annotator" | "adjudicator" | "admin" | "reader";
  type PersonState = "practising" | "active" | "paused" | "refused";
  type Purpose = "work" | "gold" | "attention" | "practice";
  type ItemState = "open" | "complete" | "frozen";
  type AnswerState = "live" | "undone" | "requeued" | "adjudicated";
  type Subject = "answer" | "whole" | "split" | "claims";
  /** From and to, in code points. */
  type Span = [number, number];
  /** The passage's place, from and to. */
  type SourceSpan = [number, number, number];
  type Scalar = string | number | boolean | null;
  type Json = Scalar | Json[] | { [name: string]: Json };

  // ---- answers (kinds.py), places as shown ----

  interface Comparison { kind: "comparison" | "hindsight"; better: number | null; strength: number | null; both_bad: boolean }
  interface Ranking { kind: "ranking"; best_first: number[]; tied?: number[] }
  interface Rating { kind: "rating"; value: number }
  interface Label { kind: "label"; good: boolean }
  interface Correction { kind: "correction"; text: string }
  interface Demonstration { kind: "demonstration"; text: string }
  interface Critique { kind: "critique"; text: string; spans?: Span[]; source_spans?: SourceSpan[] }
  interface Claims { kind: "claims"; unsupported: Span[]; wrong: Span[]; missing: string[]; source_spans?: SourceSpan[] }
  interface Reject { kind: "reject"; reason: string }
  type Answer = Comparison | Ranking | Rating | Label | Correction | Demonstration | Critique | Claims | Reject;

  /** What goes with an answer beside its lease: how sure the rater was, or else what is kept beside it. */
  interface More { confidence?: number; detail?: Record<string, Scalar> }

  /** An answer in a draft, to the question of this item as it was `shown`. `open` says that a question of a sheet is
   *  not decided yet, `spent` how many seconds its decision took; one that was taken back has neither. */
  interface Drafted {
    item: string;
    shown: string;
    answer: Answer | null;
    confidence: number | null;
    detail?: { both_bad?: boolean; source_spans?: SourceSpan[] };
    open?: boolean;
    spent?: number;
  }
  /** What a page keeps of a lease under way: answers to its questions, which may be fewer when it comes back. */
  interface Draft {
    answers?: Drafted[];
    at?: number;
    seconds?: number;
    text?: string | null;
  }

  // ---- items ----

  /** Where an item belongs; `place` is all three in one text, such as "0/answer/2". Rounds count from 0. */
  interface Place { place: `${number}/${Subject}/${number}`; round: number; subject: Subject; level: number }
  /** A place with its name for people. */
  interface Placed extends Place { where: string }

  interface Passage { text: string; label: "source" | "part"; score: number | null }

  /** A view with outputs beside it; of a lease, all that its questions are about. */
  interface Beside {
    item: string;
    instruction: string;
    context: string;
    passages: Passage[];
    outputs: Output[];
    points: number;
  }
  /** An output, with its claims where they are asked about, and with what came of it or what a critic wrote, where that is shown. */
  interface Output { text: string; claims?: Claim[]; came?: Came; critique?: string }
  /** What came of an output, as a rollout has it, which was wrong in some of the cases that were checked. */
  interface Came { text: string; checked: number; wrong: number }
  /** A claim's place in its output, and the probability that it is supported, where that is known. */
  interface Claim { span: Span; support: number | null }
  /** What is asked of an item; a ranking may be `partial`, and name only the best ones. */
  interface Asking { kind: Kind; criterion: string; max_tokens: number; answers: Kind[]; partial: boolean }
  interface Item extends Beside, Asking {}
  /** A question of a lease, about some of its outputs, by their places. */
  interface Question extends Asking { item: string; outputs: number[]; shown: string }
  interface Lease extends Beside {
    id: string;
    questions: Question[];
    practice: boolean;
    guideline: number;
    expires_in: number;
    draft: Draft | null;
    wider: boolean;
  }

  /** An answer on record, places in the item's own order. */
  interface Annotation {
    id: string;
    person: string;
    name: string | null;
    answer: Answer;
    summary: string;
    order: number[];
    state: AnswerState;
    at: number;
    seconds: number | null;
    confidence: number | null;
    guideline: number;
    right: boolean | null;
    adjudication: boolean;
  }

  interface Disputed extends Placed { item: string; disagreement: number; kind: Kind; own: boolean }
  interface DisputedItem extends Item, Placed { node: string; markdown: boolean; given: Annotation[] }
  interface RecordedItem extends DisputedItem {
    purpose: Purpose;
    wanted: number;
    value: number;
    expected: Answer | null;
    explanation: string;
  }
  interface ItemRow extends Placed {
    seq: number;
    id: string;
    kind: Kind;
    node: string;
    purpose: Purpose;
    state: ItemState;
    wanted: number;
    answers: number;
    held: number;
    instruction: string;
    output: string;
  }

  // ---- rating (rater/) ----

  interface Progress {
    done: number;
    left: number;
    seconds: number;
    median_seconds: number | null;
    undoable: number;
    last: string | null;
    practising: boolean;
    practice_done: number;
    practice_right: number;
    practice_items: number;
    tries_left: number;
  }
  interface ShownGuideline { version: number; html: string }
  interface Me {
    id: string;
    name: string | null;
    role: Role;
    state: PersonState;
    progress: Progress;
    guideline: ShownGuideline;
    settings: { rating_points: number; markdown: boolean };
  }
  /** Who came in, and where the own work begins; `choose` is how long a password to choose first is at least. */
  interface CameIn { next: string; name: string | null; choose: number | null }
  /** The way out: a code to hand in, and the panel's own page; either may be empty. */
  interface Exit { code: string; url: string }
  interface Ending { outcome: "complete" | "screened_out"; exit: Exit; settled: boolean }
  /** What has to be agreed to or read before the next item: one of the two. */
  interface Asks {
    consent: { id: string; text: string } | null;
    guideline: { version: number; html: string; text: string; read: number; before: string } | null;
  }
  interface Next {
    lease: Lease | null;
    progress: Progress;
    asks: Asks | null;
    done: Ending | null;
    reason: string | null;
  }
  interface PracticeResult { right: boolean | null; expected: Answer | null; explanation: string }
  /** What comes back for an answer, and for an item that was passed on (`next` alone). */
  interface Sent { next: Next; id?: string; practice?: PracticeResult[] | null }
  interface Remembered { item: string; kind: Kind; criterion: string; answer: Answer; at: number }

  // ---- the admin (admin/) ----

  interface Computed { at: number; current: boolean }
  interface PlaceProgress extends Placed {
    kind: Kind;
    items: number;
    complete: number;
    held: number;
    answers: number;
    wanted: number;
    frozen: boolean;
  }
  interface AtWork { person: string; name: string | null; item: string | null; since: number | null; last: number | null }
  interface RaterAlert { person: string; name: string | null; alert: string; why: string }
  interface Overview {
    computed: Computed | null;
    places: PlaceProgress[];
    at_work: AtWork[];
    alerts: RaterAlert[] | null;
    idle_checks: number;
  }
  /** How it stood when open items were ordered by value; `behind` counts answers and changes since. */
  interface Valuation {
    at: number; answers: number; open: number; minutes: number; predicted: number;
    expected: number; gain: number; stopped: boolean; refit: boolean; behind: number;
  }
  interface NextItem extends Placed {
    seq: number; id: string; kind: Kind; node: string; sheet: string; value: number; held: number;
    stream: string | null; chosen: number | null;
  }
  /** What is asked next by value; `gains` are minutes so far with what would be accepted then. */
  interface Asking { standing: Valuation | null; gains: [number, number][]; next: NextItem[] }
  interface Flag { item: string; person: string; name: string | null; text: string; at: number; number: number }
  interface Message { number: number; at: number; by: string; person: string | null; flag: number | null; text: string }
  /** How rating went on one day. */
  interface Day {
    day: string;
    answers: number;
    raters: number;
    median_seconds: number | null;
    gold: Estimate & { count: number };
    agreement: Estimate & { count: number };
  }
  /** What somebody did on one day. */
  interface Worked {
    person: string;
    day: string;
    answers: number;
    practice: number;
    skipped: number;
    active_seconds: number;
    wall_seconds: number;
    unmeasured: number;
    active_hours: number;
    wall_hours: number;
  }
  interface Run { state: "none" | "waiting" | "running" | "finished"; lines: string[]; command?: string }

  /** A figure with its 95 % interval, of `n`; `why` says why there is none. */
  interface Estimate { value: number | null; low: number | null; high: number | null; n: number; why: string }
  interface Measure extends Estimate { name: string; raters: number }
  interface PlaceAgreement extends Placed {
    kind: Kind;
    criterion: string;
    items: number;
    answers: number;
    raters: number;
    measures: Measure[];
    unanimous: Estimate & { count: number };
    note: string;
  }

  interface Person {
    id: string;
    name: string | null;
    role: Role;
    kind: string;
    state: PersonState;
    participant: string | null;
    created: number;
    panel: string | null;
    group: string;
  }
  interface Rater extends Person {
    last: number | null;
    done: number;
    skipped: number;
    skip_rate: number | null;
    median_seconds: number | null;
    accuracy: Estimate & { count: number };
    attention: Estimate & { count: number };
    agreement: { value: number | null; beyond_chance: number | null; items: number; n: number; why: string };
    side: Estimate & { p: number | null };
    alerts: { name: string; why: string }[];
  }

  interface Panel {
    id: string;
    name: string;
    places: number;
    joined: number;
    quota: number;
    completion: Exit;
    screen_out: Exit;
    admits: "anybody" | "listed" | "signed";
    expires: number;
    group: string;
  }
  interface Guideline extends ShownGuideline { text: string; at: number; by: string; name: string | null }
  interface Settings {
    overlap: number;
    strategy: "valuable" | "least-done" | "disagreement";
    lease_seconds: number;
    gold_every: number;
    attention_every: number;
    practice_items: number;
    practice_pass: number;
    practice_tries: number;
    undo_limit: number;
    grace_seconds: number;
    auto_freeze: boolean;
    rating_points: number;
    rater_share: number;
    markdown: boolean;
    sheet: number;
    consent: string;
    completion_code: string;
    participant_parameter: string;
    groups: Record<string, { sources?: string[]; levels?: number[]; overlap?: number }>;
  }
  interface AuditEntry {
    number: number;
    at: number;
    by: string;
    name: string | null;
    what: string;
    subject: string;
    subject_name: string | null;
    old: Json;
    new: Json;
    guideline: number;
  }

  // ---- what each route answers ----

  type Empty = Record<string, never>;

  /** By method and path; other modules that bring routes add theirs. */
  interface Gets {
    "/api/me": Me;
    "/api/history": Remembered[];
    [hours: `/api/hours?zone=${string}`]: Worked[];
    "/api/messages": { number: number; at: number; text: string }[];
    [worked: `/api/admin/hours?zone=${string}`]: (Worked & { name: string | null })[];
    "/api/admin/messages": Message[];
    [days: `/api/admin/days?zone=${string}`]: Day[];
    [wider: `/api/leases/${string}/wider`]: { before: string; text: string; after: string };
    "/api/admin/places": Overview;
    "/api/admin/asking": Asking;
    "/api/admin/flags": Flag[];
    "/api/admin/run": Run;
    "/api/admin/agreement": { computed: Computed | null; places: PlaceAgreement[] };
    "/api/admin/raters": { computed: Computed | null; raters: Rater[] };
    [items: `/api/admin/items?${string}`]: { items: ItemRow[]; next: number | null; places: Placed[] };
    [item: `/api/admin/items/${string}`]: RecordedItem;
    "/api/admin/panels": Panel[];
    "/api/admin/consents": { person: string; text: string; at: number }[];
    "/api/admin/guidelines": Guideline;
    [guideline: `/api/admin/guidelines/${number}`]: Guideline;
    "/api/admin/settings": Settings;
    [audit: `/api/admin/audit?${string}`]: { entries: AuditEntry[]; next: number | null };
    "/api/disputed": { items: Disputed[]; total: number };
    [disputed: `/api/disputed/${string}`]: DisputedItem;
  }
  interface Posts {
    "/api/join": CameIn;
    "/api/login": CameIn;
    "/api/password": Empty;
    "/api/logout": Empty;
    "/api/claim": Next;
    "/api/consent": Empty;
    "/api/guidelines/read": Empty;
    "/api/undo": { lease: Lease };
    [read: `/api/messages/${number}/read`]: Empty;
    "/api/admin/messages": { number: number };
    [reply: `/api/admin/flags/${number}/reply`]: { number: number };
    "/api/admin/raters/several": { rows: { name: string; id: string; link: string }[] };
    [answer: `/api/leases/${string}/answer`]: Sent;
    [skip: `/api/leases/${string}/skip`]: Sent;
    [flag: `/api/leases/${string}/flag`]: Empty;
    [renew: `/api/leases/${string}/renew`]: { expires_in: number };
    "/api/admin/train": Run;
    "/api/admin/want": { items: number };
    [retire: `/api/admin/items/${string}/retire`]: { items: number };
    [freeze: `/api/admin/places/${number}/${Subject}/${number}/freeze`]: { answers: number };
    [reopen: `/api/admin/places/${number}/${Subject}/${number}/reopen`]: Empty;
    "/api/admin/raters": { person: Person; link: string };
    [invite: `/api/admin/raters/${string}/invite`]: { link: string };
    [reset: `/api/admin/raters/${string}/reset`]: { link: string };
    [state: `/api/admin/raters/${string}/state`]: Empty;
    [group: `/api/admin/raters/${string}/group`]: Empty;
    [requeue: `/api/admin/raters/${string}/requeue`]: { answers: number };
    [forget: `/api/admin/raters/${string}/forget`]: Empty;
    "/api/admin/panels": { link: string; links: Record<string, string> };
    "/api/admin/password": Empty;
    "/api/admin/guidelines": { version: number };
    "/api/admin/guidelines/preview": { html: string };
    [decide: `/api/disputed/${string}/decide`]: { id: string };
    [undo: `/api/disputed/${string}/undo`]: Empty;
  }
  interface Puts {
    [draft: `/api/leases/${string}/draft`]: { tokens: number | null };
    "/api/admin/settings": Settings;
  }
  interface Replies { GET: Gets; POST: Posts; PUT: Puts }
}

/** What the pages' modules hand each other. */
declare namespace Ui {
  /** What an element can hold: nodes, texts, numbers, lists of them; null, undefined and false are left out. */
  type Child = Node | string | number | null | undefined | false | Child[];
  type Listener = (event: Event) => void;
  /** Functions listen to the event behind `on`; true stands for a bare attribute; null, undefined, false are left out. */
  interface Attributes {
    [name: `on${string}`]: Listener | undefined;
    [name: string]: string | number | boolean | null | undefined | Listener;
  }

  /** What a key or a button does; `button` is there once it was drawn. */
  interface Action {
    key: string;
    also?: string[];
    label: string;
    press: () => void;
    class?: string;
    id?: string;
    button?: HTMLButtonElement;
  }

  /** A passage of the source: the node that holds its text, and its name. */
  interface Passage { name: string; node: HTMLElement }

  /** A question as its kind draws it; on a sheet with the letters of its outputs, whose texts the sheet draws. */
  interface Item extends Wire.Asking { outputs: Wire.Output[]; points: number; letters?: string[]; markdown: boolean }

  /** What the part of a kind asks of what it stands on; on a sheet `texts` hold the texts that can be marked. */
  interface OfKind {
    send: (answer: Wire.Answer, more?: Wire.More) => void;
    changed: () => void;
    say: (text: string) => void;
    passages: Passage[];
    reject: Action;
    texts?: HTMLElement[];
  }

  /** An answer to a question of a lease, on its way; without `seconds` it took all the time there was. */
  interface Sent extends Wire.More { answer: Wire.Answer; seconds?: number }

  /** What the questions of a lease ask of the page that they stand on. */
  interface Page extends Omit<OfKind, "send"> {
    send: (answers: Sent[]) => void;
    seconds: () => number;
    drawn: () => void;
    markdown: boolean;
  }

  /** The questions of a lease as they are drawn and read. */
  interface Asked {
    title: string;
    outputs: Child;
    bar: Child;
    actions: Action[];
    rejects: boolean;
    reject: (reason: string) => void;
    kept: () => Wire.Draft;
    restore: (draft: Wire.Draft | null) => string;
    area: () => HTMLTextAreaElement | undefined;
    tokens: (count: number) => void;
  }

  /** How one kind of feedback is drawn and read; those that are written have `area` and `tokens`. */
  interface Part {
    outputs: Child;
    bar: Child;
    actions: Action[];
    read: () => Wire.Answer | null;
    restore: (answer: Wire.Answer | null, confidence: number | null) => void;
    confidence?: () => number;
    area?: HTMLTextAreaElement;
    tokens?: (count: number) => void;
  }

  /** What a column of a table sorts by; null and undefined stand last. */
  type Key = string | number | null | undefined;
  interface Column<Row> {
    name: string;
    cell: (row: Row) => Child;
    sort?: (row: Row) => Key;
    number?: boolean;
    title?: string;
  }

  /** What the browser keeps, by name. */
  interface Kept {
    guidelines: boolean;
    language: string;
    keys: Record<string, string>;
    [draft: `draft.${string}`]: Wire.Draft & { at: number };
    [outbox: `outbox.${string}`]: Entry[];
  }

  /** An answer on its way. */
  interface Entry {
    key: string;
    path: `/api/leases/${string}/answer` | `/api/leases/${string}/skip`;
    body: { key: string; answers?: (Sent & { shown: string })[]; reason?: string };
  }
}
