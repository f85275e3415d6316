// Every text that raters read, in English. Functions where a text holds numbers or letters.
import { digits, letter, plural, said } from "./shared.js";

/** What criteria mean, for those that are usual.
 *  @type {Map<string, string>} */
const means = new Map(Object.entries({
  accuracy: "accuracy: it says nothing that the text does not",
  coverage: "coverage: it has what matters in the text",
  coherence: "coherence: it reads well as a whole",
  consistency: "consistency: it says nothing that the text does not",
  relevance: "relevance: it has what matters in the text",
  fluency: "fluency: each sentence is well formed",
}));

export const en = {
  // ---- the frame ----
  skipLink: "Skip to the content",
  viewTools: "View and session",
  sizeButton: "Text size",
  sizes: { normal: "Text size: normal", large: "Text size: large", larger: "Text size: larger" },
  themeButton: "Colours",
  themes: { auto: "Colours: as your device", light: "Colours: light", dark: "Colours: dark" },
  logOut: "Log out",
  stillUnsent: "An answer is not sent yet. Please wait until the server can be reached, then log out.",

  // ---- joining and logging in ----
  joinTitle: "Welcome",
  joinLead: "You were invited to rate texts. Nothing needs to be installed, and you can stop and come back at any time.",
  consentLabel: "What you agree to",
  joinAgree: "I have read this and I agree.",
  joinButton: "Start",
  joinMustAgree: "Please tick the box first: without your consent we cannot start.",
  joinNoToken: "This page needs your invitation link.",
  joinNoTokenHow: "Open the link that you were given, with everything behind the # sign. A link works once: if you have been here before, log in with your password.",
  joinUsed: "This link does not work any more: it was used already, or it has expired. If you have been here before, log in with your name and the password that you chose.",
  joinGoRate: "Go to the page for rating",
  joinLogIn: "Log in with your password",
  stay: "This is my own device: keep me logged in for a month.",
  chooseTitle: "One more thing",
  chooseLead: "Choose a password or PIN. With it you come back in by yourself, tomorrow or from another device: the link works once.",
  chooseName: "Your name here is",
  choosePassword: "Password or PIN",
  /** @param {number} shortest */
  chooseHelp: (shortest) => `At least ${shortest} characters. Take none that you use elsewhere.`,
  chooseSave: "Save and start",
  chooseLater: "Later, from this device only",
  loginTitle: "Log in",
  loginLead: "With your name here and the password or PIN that you chose when you first came.",
  loginWithout: "You have not been here before? Open your invitation link. Forgotten? Ask whoever invited you to reset your password.",
  loginName: "Name",
  loginPassword: "Password",
  loginButton: "Log in",
  loginWrong: "Name and password do not fit together.",
  /** @param {number} seconds */
  tooOften: (seconds) => `Too many tries. Please wait ${seconds > 1 ? `${seconds} seconds` : "a moment"}.`,
  unreachable: "The server cannot be reached. Check your connection and try again.",

  refusedTitle: "This page cannot be shown just now",
  refusedWait: "It looks again by itself. Nothing that you wrote is lost.",
  refusedStart: "Go to the beginning",

  // ---- the page for rating ----
  workTitle: "Rating",
  loading: "Fetching your next item …",
  sessionOver: "You are not logged in any more. Nothing that you wrote is lost: it is kept on this device. Log in with your name and password to go on.",
  startFailed: "The page could not be started.",
  tryAgain: "Try again",

  /** @param {number} done @param {number} left */
  progress: (done, left) => `${done} done · ${left} left`,
  /** @param {number} done @param {number} items */
  practiceProgress: (done, items) => `Practice: ${done} of ${items} done`,
  progressLabel: "Your progress",
  /** @param {string} text */
  timeLeft: (text) => `about ${text} to go`,
  /** @param {number} n */
  undoable: (n) => (n ? `Undo (${n})` : "Undo"),

  saving: "Saving …",
  saved: "Saved",
  notSent: "Not sent yet",
  draftSaved: "Draft saved",
  draftLocal: "Draft kept on this device",
  /** @param {number} n */
  itemReady: (n) => `Saved. Item ${n}.`,

  instruction: "Task",
  /** What to judge by, where that is not the output as a whole.
   *  @param {string} name */
  criterion: (name) => (name === "overall" ? "" : `Judge by this alone: ${name}`),
  context: "Context",
  passages: "Source",
  evidence: "Parts and how reviewers judged them",
  /** @param {"source" | "part"} label @param {number | false} place */
  passage: (label, place) => `${{ source: "Source", part: "Part" }[label] ?? label}${place === false ? "" : ` ${place + 1}`}`,
  /** @param {number} share */
  acceptance: (share) => `reviewers' acceptance ${share.toFixed(2).replace(/^0/, "")}`,
  outputs: "Outputs",
  /** @param {number} place */
  output: (place) => `Output ${letter(place)}`,
  /** @param {string} name */
  lettered: (name) => `Output ${name}`,
  emptyOutput: "(empty)",
  actions: "Your answer",
  moreActions: "Other actions",

  guidelines: "Guidelines",
  /** @param {number} version */
  guidelineVersion: (version) => `Version ${version}`,
  noGuidelines: "There are no guidelines yet.",
  wider: "Wider context",
  widerMissing: "There is no wider context for this item.",
  help: "Help",
  close: "Close",
  dismiss: "Got it",
  send: "Send",

  question: {
    comparison: "Which output is better?",
    hindsight: "Seeing what came of each: which output is better?",
    ranking: "Put the outputs in order, best first.",
    rating: "How good is this output?",
    label: "Is this output good?",
    correction: "Correct this output.",
    demonstration: "Write the output yourself.",
    critique: "What is wrong or right with this output?",
    claims: "Which claims are not as the source says?",
    reject: "Is this item fine, or should it be rejected?",
  },
  came: {
    title: "What came of it",
    /** @param {number} wrong @param {number} checked */
    wrong: (wrong, checked) => `Such outcomes can be wrong: ${wrong} of ${checked} that could be checked here were.`,
  },
  critic: { title: "What a critic wrote", wrong: "A critic may be wrong, and may overlook what is." },
  /** @param {number} n */
  itemNumber: (n) => `Item ${n}`,

  sheet: {
    /** @param {number} n */
    title: (n) => `${n} questions about this text`,
    steps: "The questions",
    /** @param {number} place @param {number} n */
    where: (place, n) => `Question ${place + 1} of ${n}`,
    /** One question in a sentence.
     *  @param {{kind: string, criterion: string, letters?: string[]}} item */
    question({ kind, criterion, letters = [] }) {
      const about = letters.join(kind === "comparison" || kind === "hindsight" ? " or " : ", ");
      const by = criterion === "overall" ? "overall" : (means.get(criterion) ?? criterion);
      switch (kind) {
        case "comparison": return `${about}: which is better? – ${by}`;
        case "hindsight": return `${about}: which is better, by what came of it? – ${by}`;
        case "ranking": return `${about}: best first – ${by}`;
        case "rating": return `${about}: how good? – ${by}`;
        case "label": return `${about}: good? – ${by}`;
        default: return `${about ? `${about}: ` : ""}${en.question[/** @type {keyof typeof en.question} */ (kind)]}`;
      }
    },
    /** One question in as few words as there are.
     *  @param {{kind: string, criterion: string, letters?: string[]}} item */
    step: ({ kind, criterion, letters = [] }) => {
      const joined = letters.join({ comparison: " or ", hindsight: " or ", ranking: ", " }[kind] ?? "");
      const what = { critique: "remarks", claims: "claims", correction: "correction", demonstration: "own text" }[kind] ?? criterion;
      return joined ? `${joined} · ${what}` : what;
    },
    back: "Back",
    on: "On",
    send: "Hand in all answers",
    /** @param {number} n */
    left: (n) => `${plural(n, "question is", "questions are")} open`,
    incomplete: "Some questions are still open.",
  },

  comparison: {
    /** @param {string} l */
    strengths: (l) => [`${l} far better`, `${l} better`, `${l} slightly better`],
    /** @param {string} l */
    plain: (l) => `${l} is better`,
    tie: "Equally good",
    bothBad: "Both are bad",
  },
  ranking: {
    /** @param {string} l */
    place: (l) => `Place ${l} next`,
    /** @param {number} rank */
    placed: (rank) => ["1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th"][rank],
    /** @param {string} order */
    soFar: (order) => (order ? `Best first: ${order}` : "Choose the best output first."),
    level: "Next one is level",
    back: "Take the last back",
  },
  rating: {
    scale: "Rating",
    /** @param {number} n */
    points: (n) => {
      if (n === 7) return ["very bad", "bad", "rather bad", "mixed", "rather good", "good", "very good"];
      return digits(n).map((_, i) => (i === 0 ? "very bad" : i === n - 1 ? "very good" : ""));
    },
    confidence: "How sure are you?",
    levels: ["guessing", "unsure", "fairly sure", "sure"],
  },
  label: { good: "Good", bad: "Bad" },
  correction: {
    field: "Your version",
    diff: "What you changed",
    unchanged: "Nothing changed yet.",
    mustChange: "Nothing is changed. Change the text, or skip or reject the item.",
  },
  demonstration: { field: "Your text", empty: "Write something first." },
  outline: {
    /** @param {number} size @param {number} parts @param {string} begins */
    size: (size, parts, begins) =>
      `${plural(size, "word", "words")}${parts ? `, ${plural(parts, "part", "parts")}` : ""}, begins at ${begins}`,
    /** @param {string} about */
    about: (about) => `About: ${about}`,
    /** @param {number} n */
    rest: (n) => `${plural(n, "part", "parts")} below these are not listed.`,
  },
  critique: {
    field: "Your critique",
    empty: "Write what is wrong or right first.",
    mark: "Mark the selected text",
    howTo: "To mark a passage: select it with the mouse, or go into the text with Tab, move by words with ← →, take more words with Shift, then press m.",
    marks: "Marked",
    none: "Nothing marked yet.",
    selectFirst: "Select some text of the source or the output first.",
    /** @param {string} text */
    remove: (text) => `Remove the mark on “${text}”`,
    onOutput: "Output",
    /** @param {string} name */
    readable: (name) => `${name}: text that can be marked`,
  },
  claims: {
    list: "Claims",
    before: "Claim before",
    next: "Next claim",
    unsupported: "Unsupported",
    wrong: "Wrong in detail",
    missing: "Important and missing",
    done: "The rest is right",
    /** @param {number} share @param {boolean} doubtful */
    support: (share, doubtful) => `${doubtful ? "doubtful: " : ""}supported with probability ${share.toFixed(2).replace(/^0/, "")}`,
    howTo: "A claim without a mark is taken as right. The same key again takes a mark back. What is missing: select it in the source, with the mouse, or by Tab, ← → and Shift, then press 3.",
    selectFirst: "Select what is missing in the source first.",
    /** @param {number} unsupported @param {number} wrong @param {number} missing */
    counted: (unsupported, wrong, missing) => [
      unsupported && `${unsupported} unsupported`, wrong && `${wrong} wrong in detail`, missing && `${missing} missing`,
    ].filter(Boolean).join(", ") || "all claims right",
  },
  reject: { fine: "Fine as it is" },
  save: "Save",
  write: "Go to the text field",
  leaveField: "Esc leaves the text field",
  /** @param {number} n @param {number} most @param {boolean} exact */
  budget: (n, most, exact) => `${exact ? "" : "about "}${n} of ${plural(most, "token", "tokens")}`,
  overBudget: "Longer than allowed.",

  skip: "Skip",
  skipTitle: "Skip this item",
  skipLead: "Somebody else will get it; it does not come back to you.",
  skipReasons: ["I do not know enough about this", "It is unclear what is asked", "The text is damaged", "It upsets me"],
  rejectItem: "Reject",
  rejectTitle: "Reject this item",
  rejectLead: "Say what makes it impossible to answer. Nobody is asked to rate a rejected item as if it were fine.",
  rejectReasons: ["All outputs are unusable", "The task makes no sense", "The source is damaged or missing", "It should not be shown to anybody"],
  flag: "Flag",
  flagTitle: "Flag a problem with the guidelines",
  flagLead: "The item stays with you; the people in charge read your note.",
  reason: "Reason",
  ownWords: "In your own words (if you like)",
  note: "What is unclear?",
  reasonMissing: "Choose a reason or write one.",
  flagged: "Thank you, your note was sent.",
  last: "Last answers",
  lastTitle: "Your last answers",
  lastLead: "The latest comes first. Undo takes it back, then the one before it.",
  lastNone: "You have not answered anything yet.",
  hoursTitle: "Your hours",
  hoursColumns: ["Day", "Answers", "Active", "From item to answer"],
  message: "A message to you",
  undo: "Undo",
  undone: "Taken back. Here is your last item again.",
  /** @param {string} text */
  before: (text) => `Your answer was: ${text}`,

  offline: "The server cannot be reached.",
  /** @param {number} n */
  offlineWaiting: (n) => `${plural(n, "answer is", "answers are")} kept on this device and will be sent as soon as it answers again. Do not clear your browser's data.`,
  offlineGoOn: "You can go on with this item.",
  retryNow: "Try now",
  onlineAgain: "Connected again.",
  conflictTitle: "Your answer was not taken.",
  conflictText: "What you wrote",
  expired: "You do not hold this item any more: there was no sign of life for too long, or it is not asked any more.",
  elsewhere: "You answered this item in another tab.",
  breakTitle: "Time for a break?",
  breakText: "You have been rating for 45 minutes. A few minutes away from the screen help; everything waits for you.",

  /** @param {number} n @param {number} items */
  practice: (n, items) => `Practice ${n} of ${items}.`,
  practiceLead: "You are told the expected answer afterwards. Practice does not count as work.",
  practiceRight: "Right.",
  practiceWrong: "Not what was expected.",
  practiceNoted: "Thank you. There is no single right answer here.",
  practiceExpected: "Expected:",
  practiceYours: "Your answer:",
  next: "Next",
  practicePassed: "Practice passed",
  practicePassedText: "From now on your answers count. Thank you for taking care.",
  practiceFailed: "Not passed this time",
  /** @param {number} tries */
  practiceFailedText: (tries) => `Too many answers differed from what was expected. Read the guidelines once more; you have ${plural(tries, "try", "tries")} left.`,
  start: "Go on",

  consentTitle: "Before you go on",
  consentLead: "Please read this. We ask for your consent before you rate.",
  consentAgree: "I have read this and I agree",
  guidelineFirst: "Please read the guidelines first",
  guidelineNew: "The guidelines have changed",
  /** @param {number} version */
  guidelineLead: (version) => `This is version ${version}. What you answered before stays as it is.`,
  /** @param {number} version */
  guidelineChanges: (version) => `What has changed since version ${version}, which you read last`,
  guidelineRead: "I have read this",

  doneTitle: "All done. Thank you!",
  doneText: "There is nothing left for you to rate.",
  doneSettled: "The questions that were left are not worth your time any more: what was answered settles them well enough.",
  doneMore: "If more is asked later, such as in another round, it appears here: this page looks again every half minute.",
  screenedOutTitle: "Thank you for trying",
  screenedOutText: "The practice items were not passed, so there are no items for you.",
  screenedOutMore: "If you think that this is a mistake, write to whoever invited you: they can let you in.",
  leave: "Go back to the panel's page",
  code: "Your completion code",
  copy: "Copy",
  copied: "Copied.",
  waitTitle: "Nothing to rate at the moment",
  waitText: "This page looks again by itself every half minute.",
  lookAgain: "Look again",

  helpTitle: "Help and keys",
  helpLead: "Every button shows its key. Keys do not work while you type in a text field; Esc leaves the field.",
  helpAnswer: "Answering this item",
  helpAlways: "Always",
  keysChange: "Change keys",
  keysLead: "Type another key where you want one. They hold in this browser, for all items.",
  keysTwice: "Two actions have the same key.",
  keysReset: "As they were at first",
  keyNames: { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Enter: "Enter", Backspace: "⌫", Escape: "Esc" },

  /** An answer in words; places as shown.
   *  @param {Wire.Answer} given @param {string[]} [letters] of the outputs, where they are not the first ones
   *  @returns {string} */
  answer: (given, letters = undefined) => said(en, given, letters),
};
