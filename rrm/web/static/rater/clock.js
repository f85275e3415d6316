// Active time: what counts is the page in front, seen and in focus, as long as somebody may be reading it.

const IDLE = 300_000; // milliseconds without a sign of life that still count: who reads does nothing else
const SIGNS = ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "touchstart", "focus"];

/** A clock that starts now: `seconds()`, `restart(from)` for the next item, `quiet()` ms since a sign of life. */
export function activeClock() {
  const awake = () => document.visibilityState === "visible" && document.hasFocus();
  let total = 0;
  let last = performance.now();
  let sign = last;
  let counting = awake();
  let patience = IDLE;

  function settle() {
    const now = performance.now();
    if (counting) total += Math.max(0, Math.min(now, sign + patience) - last);
    last = now;
    counting = awake();
  }
  function stir() {
    settle();
    sign = last;
  }
  for (const name of SIGNS) addEventListener(name, stir, { passive: true, capture: true });
  for (const name of ["blur", "pagehide"]) addEventListener(name, settle);
  document.addEventListener("visibilitychange", settle);
  setInterval(settle, 1000); // notices a focus that went without an event

  return {
    seconds() {
      settle();
      return total / 1000;
    },
    /** @param {number} from seconds that count already @param {number} reading seconds that reading all takes */
    restart(from = 0, reading = 0) {
      stir();
      total = from * 1000;
      patience = Math.max(IDLE, reading * 1000);
    },
    quiet: () => performance.now() - sign,
  };
}
