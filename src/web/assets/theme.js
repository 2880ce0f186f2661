// Chooses the colours before anything is painted. Loaded in the head, so that nothing flashes.
"use strict";
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("iogate-theme");
  } catch {
    // Storage may be forbidden; the system's choice holds then.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
