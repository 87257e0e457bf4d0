"use strict";
// Comfort only: every page works without this file. A key may answer a review; none signs, sends or stops anything.
(() => {
  const span = (ms) => {
    const s = Math.max(0, Math.round(ms / 1000));
    const d = Math.floor(s / 86400), h = Math.floor((s % 86400) / 3600), m = Math.floor((s % 3600) / 60);
    if (d) return `${d} d ${h} h`;
    if (h) return `${h} h ${String(m).padStart(2, "0")} min`;
    return m ? `${m} min` : `${s} s`;
  };
  const clocks = [...document.querySelectorAll("[data-left]")];
  const tick = () => clocks.forEach((el) => {
    const left = Number(el.dataset.left) - Date.now();
    el.textContent = left > 0 ? span(left) : "now";
  });
  const overdue = [...document.querySelectorAll("[data-late]")];
  const tock = () => overdue.forEach((el) => { el.textContent = `${span(Date.now() - Number(el.dataset.late))} late`; });
  if (clocks.length || overdue.length) setInterval(() => { tick(); tock(); }, 1000);

  // Says that something new waits. The server does not count this as a person's doing: the sign-in still runs out.
  const news = document.getElementById("news");
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/pulse", { credentials: "same-origin" });
      if (!answer.ok) return;
      const { waiting, newest } = await answer.json();
      document.title = `${waiting ? `(${waiting}) ` : ""}Approvals · OpsPilot`;
      news.hidden = newest <= Number(news.dataset.newest);
    } catch { /* the console stopped; the next click says so */ }
  };
  if (news) setInterval(look, 10000);

  const rows = [...document.querySelectorAll("[data-row]")];
  const move = (step) => {
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement);
    rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))].focus();
  };
  const unfold = (id, field) => {
    const fold = document.getElementById(id);
    if (!fold) return;
    fold.open = true;
    document.getElementById(field).focus();
  };
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    v: () => location.assign("/review"),
    u: () => location.assign("/"),
    n: () => document.querySelector("[data-next]")?.focus(),
    s: () => (document.querySelector("#decide form.sign input:not([type=hidden])") || document.getElementById("sign"))?.focus(),
    e: () => unfold("edit", "body"),
    r: () => unfold("reject", "reason"),
    x: () => document.querySelector("[data-skip]")?.click(),
  };
  const keyed = (key) => [...document.querySelectorAll("[data-key]")].find((el) => el.dataset.key === key);
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const press = keyed(event.key);
    if (!press && !(event.key in keys)) return;
    event.preventDefault();
    if (press) press.click();
    else keys[event.key]();
  });
  // A second click must not send a form twice: the server refuses it, this only spares the sight of it.
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "1";
  });
})();
