// A dead time after something was drawn: what is pressed in it was meant for what stood there before.

const DEAD = 400; // milliseconds: the second tap of a double tap comes within, nobody reads an item in them

/** After a decision on a sheet, where nothing but the question changes: shorter, for whoever decides quickly. */
export const STEP = 200;

/** Guards the controls in a place of the page, which has the class "fresh" in the dead time; `drawn()` begins one.
 *  @param {HTMLElement} place */
export function freshness(place) {
  let until = 0;
  let timer = 0;
  const fresh = () => performance.now() < until;
  for (const kind of ["click", "dblclick", "submit"]) {
    place.addEventListener(kind, (event) => {
      if (!fresh()) return;
      event.preventDefault();
      event.stopPropagation();
    }, { capture: true });
  }
  return {
    fresh,
    drawn(dead = DEAD) {
      until = performance.now() + dead;
      place.classList.add("fresh");
      clearTimeout(timer);
      timer = setTimeout(() => place.classList.remove("fresh"), dead);
    },
  };
}
