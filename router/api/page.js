"use strict";
(() => {
  const EVERY_MS = 3000, PATIENCE_MS = 10000;
  const button = document.getElementById("pause");
  const lost = document.getElementById("lost");
  let timer = 0, asking = false;
  const isPaused = () => button.getAttribute("aria-pressed") === "true";

  function replace(page) {
    for (const fresh of page.querySelectorAll("[data-live]")) {
      const shown = document.getElementById(fresh.id);
      if (shown && shown.innerHTML !== fresh.innerHTML) {
        shown.replaceChildren(...fresh.childNodes);
      }
    }
  }

  async function ask() {
    const answer = await fetch(location.pathname, {
      headers: {Accept: "text/html"}, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  }

  async function refresh() {
    clearTimeout(timer);
    if (asking || isPaused() || document.hidden) return;
    asking = true;
    try {
      await ask();
      lost.hidden = true;
    } catch (error) {
      if (lost.hidden) {
        const since = new Date().toLocaleTimeString();
        lost.textContent = `No fresh figures since ${since} (${error.message}). Trying again.`;
        lost.hidden = false;
      }
    }
    asking = false;
    timer = setTimeout(refresh, EVERY_MS);
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!isPaused()));
    refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  timer = setTimeout(refresh, EVERY_MS);
})();
