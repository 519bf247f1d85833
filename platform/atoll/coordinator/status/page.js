"use strict";
(() => {
  const period = 10000;
  const said = document.getElementById("said");
  const auto = document.getElementById("auto");
  let asking = false;

  const say = (text) => { if (said.textContent !== text) said.textContent = text; };

  // Only what changed is put in place, so that scrolling and what has the focus stay as they are.
  const put = (fresh) => {
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = document.getElementById(part.id);
      if (old && old.innerHTML !== part.innerHTML) old.replaceChildren(...part.childNodes);
    }
  };

  const refresh = async () => {
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch(".", { cache: "no-store", redirect: "error" });
      if (answer.status === 401) {
        auto.checked = false;
        say("You are signed out. Reload the page to sign in again.");
      } else if (!answer.ok) {
        say(`The coordinator cannot say how things stand: ${await answer.text()}`);
      } else {
        put(new DOMParser().parseFromString(await answer.text(), "text/html"));
        say("");
      }
    } catch {
      say("The coordinator does not answer. What you see is what it said last.");
    } finally {
      asking = false;
    }
  };

  document.getElementById("every").hidden = false;
  document.getElementById("refresh").addEventListener("click", (event) => {
    event.preventDefault();
    refresh();
  });
  setInterval(() => {
    // Whoever is marking text to copy it would lose the mark.
    if (auto.checked && !document.hidden && getSelection().isCollapsed) refresh();
  }, period);
})();
