"use strict";
// The page reads without this: it opens what a link leads to, and adds a search
// box over alerts and evidence.
function reveal() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  if (!target) return;
  for (let e = target; e; e = e.parentElement) if (e instanceof HTMLDetailsElement) e.open = true;
  target.scrollIntoView({ block: "start" });
}
addEventListener("hashchange", reveal);
reveal();
for (const id of ["alerts", "evidence"]) {
  const section = document.getElementById(id);
  if (!section) continue;
  const rows = Array.from(section.querySelectorAll("details.row"));
  if (rows.length < 8) continue;
  const box = document.createElement("input");
  box.type = "search";
  box.className = "find";
  box.placeholder = "Find in " + id;
  box.setAttribute("aria-label", box.placeholder);
  box.addEventListener("input", () => {
    const want = box.value.toLowerCase();
    for (const row of rows) row.hidden = want !== "" && !row.textContent.toLowerCase().includes(want);
  });
  section.querySelector("h2").after(box);
}
addEventListener("beforeprint", () => document.querySelectorAll("details.fold").forEach((d) => { d.open = true; }));
