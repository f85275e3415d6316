// Every text that raters read, in German.
import { digits, letter, plural, said } from "./shared.js";

/** What criteria mean, for those that are usual.
 *  @type {Map<string, string>} */
const means = new Map(Object.entries({
  accuracy: "Richtigkeit: er sagt nichts, was nicht im Text steht",
  coverage: "Vollständigkeit: er enthält, worauf es im Text ankommt",
  coherence: "Zusammenhang: er liest sich als Ganzes gut",
  consistency: "Treue: er sagt nichts, was nicht im Text steht",
  relevance: "Wichtigkeit: er enthält, worauf es im Text ankommt",
  fluency: "Sprache: jeder Satz ist gut gebaut",
}));

/** @type {typeof import("./en.js").en} */
export const de = {
  // ---- the frame ----
  skipLink: "Zum Inhalt",
  viewTools: "Ansicht und Sitzung",
  sizeButton: "Schriftgröße",
  sizes: { normal: "Schriftgröße: normal", large: "Schriftgröße: groß", larger: "Schriftgröße: größer" },
  themeButton: "Farben",
  themes: { auto: "Farben: wie Ihr Gerät", light: "Farben: hell", dark: "Farben: dunkel" },
  logOut: "Abmelden",
  stillUnsent: "Eine Antwort ist noch nicht gesendet. Bitte warten Sie, bis der Server erreichbar ist, und melden Sie sich dann ab.",

  // ---- joining and logging in ----
  joinTitle: "Willkommen",
  joinLead: "Sie sind eingeladen, Texte zu bewerten. Es muss nichts installiert werden, und Sie können jederzeit aufhören und wiederkommen.",
  consentLabel: "Worin Sie einwilligen",
  joinAgree: "Ich habe das gelesen und bin einverstanden.",
  joinButton: "Beginnen",
  joinMustAgree: "Bitte setzen Sie zuerst das Häkchen: ohne Ihre Einwilligung können wir nicht beginnen.",
  joinNoToken: "Diese Seite braucht Ihren Einladungslink.",
  joinNoTokenHow: "Öffnen Sie den Link, den Sie bekommen haben, mit allem hinter dem Zeichen #. Ein Link gilt einmal: waren Sie schon hier, melden Sie sich mit Ihrem Passwort an.",
  joinUsed: "Dieser Link gilt nicht mehr: er wurde schon benutzt oder ist abgelaufen. Waren Sie schon hier, melden Sie sich mit Ihrem Namen und dem Passwort an, das Sie gewählt haben.",
  joinGoRate: "Zur Seite zum Bewerten",
  joinLogIn: "Mit dem Passwort anmelden",
  stay: "Das ist mein eigenes Gerät: einen Monat lang angemeldet bleiben.",
  chooseTitle: "Noch eines",
  chooseLead: "Wählen Sie ein Passwort oder eine PIN. Damit kommen Sie selbst wieder herein, morgen oder von einem anderen Gerät: der Link gilt nur einmal.",
  chooseName: "Ihr Name hier ist",
  choosePassword: "Passwort oder PIN",
  chooseHelp: (shortest) => `Mindestens ${shortest} Zeichen. Nehmen Sie keines, das Sie anderswo benutzen.`,
  chooseSave: "Speichern und beginnen",
  chooseLater: "Später, nur von diesem Gerät",
  loginTitle: "Anmelden",
  loginLead: "Mit Ihrem Namen hier und dem Passwort oder der PIN, die Sie beim ersten Mal gewählt haben.",
  loginWithout: "Sie waren noch nicht hier? Öffnen Sie Ihren Einladungslink. Passwort vergessen? Bitten Sie, wer Sie eingeladen hat, es zurückzusetzen.",
  loginName: "Name",
  loginPassword: "Passwort",
  loginButton: "Anmelden",
  loginWrong: "Name und Passwort passen nicht zusammen.",
  tooOften: (seconds) => `Zu viele Versuche. Bitte warten Sie ${seconds > 1 ? `${seconds} Sekunden` : "einen Augenblick"}.`,
  unreachable: "Der Server ist nicht zu erreichen. Prüfen Sie Ihre Verbindung und versuchen Sie es noch einmal.",

  refusedTitle: "Diese Seite kann gerade nicht gezeigt werden",
  refusedWait: "Sie sieht von selbst wieder nach. Nichts, was Sie geschrieben haben, geht verloren.",
  refusedStart: "Zum Anfang",

  // ---- the page for rating ----
  workTitle: "Bewerten",
  loading: "Die nächste Aufgabe wird geholt …",
  sessionOver: "Sie sind nicht mehr angemeldet. Nichts, was Sie geschrieben haben, geht verloren: es bleibt auf diesem Gerät. Melden Sie sich mit Name und Passwort an, um weiterzumachen.",
  startFailed: "Die Seite konnte nicht geöffnet werden.",
  tryAgain: "Noch einmal versuchen",

  progress: (done, left) => `${done} erledigt · noch ${left}`,
  practiceProgress: (done, items) => `Übung: ${done} von ${items} erledigt`,
  progressLabel: "Ihr Fortschritt",
  timeLeft: (text) => `noch etwa ${text}`,
  undoable: (n) => (n ? `Zurücknehmen (${n})` : "Zurücknehmen"),

  saving: "Wird gespeichert …",
  saved: "Gespeichert",
  notSent: "Noch nicht gesendet",
  draftSaved: "Entwurf gespeichert",
  draftLocal: "Entwurf auf diesem Gerät",
  itemReady: (n) => `Gespeichert. Aufgabe ${n}.`,

  instruction: "Auftrag",
  criterion: (name) => (name === "overall" ? "" : `Urteilen Sie allein danach: ${name}`),
  context: "Zusammenhang",
  passages: "Quelle",
  evidence: "Teile, und wie sie beurteilt wurden",
  passage: (label, place) => `${{ source: "Quelle", part: "Teil" }[label] ?? label}${place === false ? "" : ` ${place + 1}`}`,
  acceptance: (share) => `angenommen mit ${share.toFixed(2).replace(/^0/, "")}`,
  outputs: "Texte",
  output: (place) => `Text ${letter(place)}`,
  lettered: (name) => `Text ${name}`,
  emptyOutput: "(leer)",
  actions: "Ihre Antwort",
  moreActions: "Weiteres",

  guidelines: "Richtlinien",
  guidelineVersion: (version) => `Fassung ${version}`,
  noGuidelines: "Es gibt noch keine Richtlinien.",
  wider: "Mehr vom Text",
  widerMissing: "Zu dieser Aufgabe gibt es nicht mehr Text.",
  help: "Hilfe",
  close: "Schließen",
  dismiss: "Verstanden",
  send: "Senden",

  question: {
    comparison: "Welcher Text ist besser?",
    ranking: "Ordnen Sie die Texte, den besten zuerst.",
    rating: "Wie gut ist dieser Text?",
    label: "Ist dieser Text gut?",
    correction: "Verbessern Sie diesen Text.",
    demonstration: "Schreiben Sie den Text selbst.",
    critique: "Was ist an diesem Text falsch oder richtig?",
    reject: "Ist diese Aufgabe in Ordnung, oder soll sie verworfen werden?",
  },
  itemNumber: (n) => `Aufgabe ${n}`,

  sheet: {
    title: (n) => `${n} Fragen zu diesem Text`,
    steps: "Die Fragen",
    where: (place, n) => `Frage ${place + 1} von ${n}`,
    question({ kind, criterion, letters = [] }) {
      const about = letters.join(kind === "comparison" ? " oder " : ", ");
      const by = criterion === "overall" ? "insgesamt" : (means.get(criterion) ?? criterion);
      switch (kind) {
        case "comparison": return `${about}: was ist besser? – ${by}`;
        case "ranking": return `${about}: das beste zuerst – ${by}`;
        case "rating": return `${about}: wie gut? – ${by}`;
        case "label": return `${about}: gut? – ${by}`;
        default: return `${about ? `${about}: ` : ""}${de.question[/** @type {keyof typeof de.question} */ (kind)]}`;
      }
    },
    step: ({ kind, criterion, letters = [] }) => {
      const joined = letters.join({ comparison: " oder ", ranking: ", " }[kind] ?? "");
      const what = { critique: "Anmerkungen", correction: "Verbesserung", demonstration: "eigener Text" }[kind] ?? criterion;
      return joined ? `${joined} · ${what}` : what;
    },
    back: "Zurück",
    on: "Weiter",
    send: "Alle Antworten abgeben",
    left: (n) => `${plural(n, "Frage ist", "Fragen sind")} offen`,
    incomplete: "Einige Fragen sind noch offen.",
  },

  comparison: {
    strengths: (l) => [`${l} viel besser`, `${l} besser`, `${l} etwas besser`],
    plain: (l) => `${l} ist besser`,
    tie: "Gleich gut",
    bothBad: "Beide schlecht",
  },
  ranking: {
    place: (l) => `${l} als nächsten`,
    placed: (rank) => `${rank + 1}.`,
    soFar: (letters) => (letters.length ? `Bester zuerst: ${letters.join(", ")}` : "Wählen Sie zuerst den besten Text."),
    back: "Letzten zurück",
    incomplete: "Ordnen Sie zuerst alle Texte ein.",
  },
  rating: {
    scale: "Bewertung",
    points: (n) => {
      if (n === 7) return ["sehr schlecht", "schlecht", "eher schlecht", "gemischt", "eher gut", "gut", "sehr gut"];
      return digits(n).map((_, i) => (i === 0 ? "sehr schlecht" : i === n - 1 ? "sehr gut" : ""));
    },
    confidence: "Wie sicher sind Sie?",
    levels: ["geraten", "unsicher", "ziemlich sicher", "sicher"],
  },
  label: { good: "Gut", bad: "Schlecht" },
  correction: {
    field: "Ihre Fassung",
    diff: "Was Sie geändert haben",
    unchanged: "Noch nichts geändert.",
    mustChange: "Nichts ist geändert. Ändern Sie den Text, oder überspringen oder verwerfen Sie die Aufgabe.",
  },
  demonstration: { field: "Ihr Text", empty: "Schreiben Sie zuerst etwas." },
  outline: {
    size: (size, parts, begins) =>
      `${plural(size, "Wort", "Wörter")}${parts ? `, ${plural(parts, "Teil", "Teile")}` : ""}, beginnt bei ${begins}`,
    about: (about) => `Worum es geht: ${about}`,
    rest: (n) => `${plural(n, "Teil", "Teile")} darunter sind nicht aufgeführt.`,
  },
  critique: {
    field: "Ihre Kritik",
    empty: "Schreiben Sie zuerst, was falsch oder richtig ist.",
    mark: "Ausgewählten Text markieren",
    howTo: "So markieren Sie eine Stelle: wählen Sie sie mit der Maus aus, oder gehen Sie mit Tab in den Text, mit ← → von Wort zu Wort, nehmen Sie mit der Umschalttaste mehr Wörter und drücken Sie m.",
    marks: "Markiert",
    none: "Noch nichts markiert.",
    selectFirst: "Wählen Sie zuerst eine Stelle der Quelle oder des Textes aus.",
    remove: (text) => `Markierung von „${text}“ entfernen`,
    onOutput: "Text",
    readable: (name) => `${name}: Text, der markiert werden kann`,
  },
  reject: { fine: "In Ordnung" },
  save: "Speichern",
  write: "Zum Textfeld",
  leaveField: "Esc verlässt das Textfeld",
  budget: (n, most, exact) => `${exact ? "" : "etwa "}${n} von ${plural(most, "Token", "Token")}`,
  overBudget: "Länger als erlaubt.",

  skip: "Überspringen",
  skipTitle: "Diese Aufgabe überspringen",
  skipLead: "Jemand anderes bekommt sie; zu Ihnen kommt sie nicht zurück.",
  skipReasons: ["Ich weiß darüber nicht genug", "Es ist unklar, was gefragt ist", "Der Text ist beschädigt", "Es belastet mich"],
  rejectItem: "Verwerfen",
  rejectTitle: "Diese Aufgabe verwerfen",
  rejectLead: "Sagen Sie, warum sie nicht zu beantworten ist. Niemand soll eine verworfene Aufgabe bewerten, als wäre sie in Ordnung.",
  rejectReasons: ["Alle Texte sind unbrauchbar", "Der Auftrag ergibt keinen Sinn", "Die Quelle ist beschädigt oder fehlt", "Das sollte niemandem gezeigt werden"],
  flag: "Melden",
  flagTitle: "Eine Unklarheit der Richtlinien melden",
  flagLead: "Die Aufgabe bleibt bei Ihnen; die Verantwortlichen lesen Ihre Nachricht.",
  reason: "Grund",
  ownWords: "In eigenen Worten (wenn Sie möchten)",
  note: "Was ist unklar?",
  reasonMissing: "Wählen Sie einen Grund oder schreiben Sie einen.",
  flagged: "Danke, Ihre Nachricht ist gesendet.",
  last: "Letzte Antworten",
  lastTitle: "Ihre letzten Antworten",
  lastLead: "Die letzte steht oben. Zurücknehmen nimmt sie zurück, dann die davor.",
  lastNone: "Sie haben noch nichts beantwortet.",
  hoursTitle: "Ihre Stunden",
  hoursColumns: ["Tag", "Antworten", "Aktiv", "Von Aufgabe bis Antwort"],
  message: "Eine Nachricht an Sie",
  undo: "Zurücknehmen",
  undone: "Zurückgenommen. Hier ist Ihre letzte Aufgabe noch einmal.",
  before: (text) => `Ihre Antwort war: ${text}`,

  offline: "Der Server ist nicht zu erreichen.",
  offlineWaiting: (n) => `${plural(n, "Antwort wird", "Antworten werden")} auf diesem Gerät aufbewahrt und gesendet, sobald er wieder antwortet. Löschen Sie die Daten Ihres Browsers nicht.`,
  offlineGoOn: "Sie können mit dieser Aufgabe weitermachen.",
  retryNow: "Jetzt versuchen",
  onlineAgain: "Wieder verbunden.",
  conflictTitle: "Ihre Antwort wurde nicht angenommen.",
  conflictText: "Was Sie geschrieben haben",
  expired: "Sie hatten diese Aufgabe zu lange ohne ein Lebenszeichen, darum wurde sie neu vergeben.",
  elsewhere: "Sie haben diese Aufgabe in einem anderen Tab beantwortet.",
  breakTitle: "Zeit für eine Pause?",
  breakText: "Sie bewerten seit 45 Minuten. Ein paar Minuten ohne Bildschirm helfen; alles wartet auf Sie.",

  practice: (n, items) => `Übung ${n} von ${items}.`,
  practiceLead: "Die erwartete Antwort wird Ihnen danach gesagt. Übungen zählen nicht als Arbeit.",
  practiceRight: "Richtig.",
  practiceWrong: "Nicht, was erwartet war.",
  practiceNoted: "Danke. Hier gibt es nicht die eine richtige Antwort.",
  practiceExpected: "Erwartet:",
  practiceYours: "Ihre Antwort:",
  next: "Weiter",
  practicePassed: "Übung bestanden",
  practicePassedText: "Von jetzt an zählen Ihre Antworten. Danke für Ihre Sorgfalt.",
  practiceFailed: "Diesmal nicht bestanden",
  practiceFailedText: (tries) => `Zu viele Antworten wichen vom Erwarteten ab. Lesen Sie die Richtlinien noch einmal; Sie haben noch ${plural(tries, "Versuch", "Versuche")}.`,
  start: "Weiter",

  consentTitle: "Bevor Sie weitermachen",
  consentLead: "Bitte lesen Sie das. Wir bitten um Ihre Einwilligung, bevor Sie bewerten.",
  consentAgree: "Ich habe das gelesen und bin einverstanden",
  guidelineFirst: "Bitte lesen Sie zuerst die Richtlinien",
  guidelineNew: "Die Richtlinien haben sich geändert",
  guidelineLead: (version) => `Das ist Fassung ${version}. Was Sie zuvor beantwortet haben, bleibt, wie es ist.`,
  guidelineChanges: (version) => `Was sich seit Fassung ${version} geändert hat, die Sie zuletzt gelesen haben`,
  guidelineRead: "Ich habe das gelesen",

  doneTitle: "Alles erledigt. Vielen Dank!",
  doneText: "Für Sie ist nichts mehr zu bewerten.",
  doneMore: "Wird später mehr gefragt, etwa in einer weiteren Runde, erscheint es hier: die Seite sieht jede halbe Minute nach.",
  screenedOutTitle: "Danke für Ihren Versuch",
  screenedOutText: "Die Übungen wurden nicht bestanden, darum gibt es für Sie keine Aufgaben.",
  screenedOutMore: "Halten Sie das für ein Versehen, schreiben Sie, wer Sie eingeladen hat: Sie können zugelassen werden.",
  leave: "Zurück zur Seite des Panels",
  code: "Ihr Abschlusscode",
  copy: "Kopieren",
  copied: "Kopiert.",
  waitTitle: "Im Augenblick nichts zu bewerten",
  waitText: "Die Seite sieht jede halbe Minute von selbst nach.",
  lookAgain: "Noch einmal nachsehen",

  helpTitle: "Hilfe und Tasten",
  helpLead: "Auf jedem Knopf steht seine Taste. In einem Textfeld gelten die Tasten nicht; Esc verlässt das Feld.",
  helpAnswer: "Diese Aufgabe beantworten",
  helpAlways: "Immer",
  keysChange: "Tasten ändern",
  keysLead: "Tippen Sie eine andere Taste ein, wo Sie eine möchten. Sie gelten in diesem Browser, für alle Aufgaben.",
  keysTwice: "Zwei Handlungen haben dieselbe Taste.",
  keysReset: "Wie am Anfang",
  keyNames: { " ": "Leertaste", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Enter: "Enter", Backspace: "⌫", Escape: "Esc" },

  answer: (given, letters = undefined) => said(de, given, letters),
};
