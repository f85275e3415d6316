// Sets theme and font size before the first paint; a plain script, because modules run too late for that.
for (const name of ["theme", "size"]) {
  try {
    const value = localStorage.getItem(`rrm.${name}`);
    if (value) document.documentElement.dataset[name] = value;
  } catch {
    // A browser that keeps nothing for us shows the page as the system has it.
  }
}
