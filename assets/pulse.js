/* Keeps an open page true: it learns of work in another tab, says when the app was stopped, and comes back by itself. */
(() => {
  "use strict";
  const HX = window.HX = window.HX || {};
  const EVERY = 2000;            // ms between two looks while the page is seen
  const LOST = 2;                // looks without an answer after which the page says so
  if (HX.pulsing) return;        // the scripts are named once a component and run once
  HX.pulsing = true;
  let known = null, lost = 0;

  const banner = (text) => {
    let box = document.getElementById("hx-lost");
    if (!text) return box?.remove();
    if (!box) document.body.append(box = HX.make("div", {id: "hx-lost", role: "alert"}));
    if (box.textContent !== text) box.textContent = text;
  };

  const anew = () => {           // what was typed and not yet asked is not lost; the address holds the rest
    const box = HX.box?.();
    try { if (box?.value) sessionStorage.setItem("hx-typed", box.value); } catch { /* a browser that keeps nothing */ }
    location.reload();
  };

  const why = (status) => status === 401 || status === 403
    ? "This page may not ask any more. Open HCMI Explorer with the link printed in the terminal it was started from."
    : status === 503 ? "HCMI Explorer is starting; this page goes on by itself."
    : "HCMI Explorer was stopped. Start it again; this page goes on by itself.";

  const look = async () => {
    if (document.hidden) return;
    let status = 0;
    try {
      const answer = await fetch("/pulse", {cache: "no-store"});
      status = answer.status;
      if (!answer.ok) throw new Error(String(status));
      const told = await answer.json();
      if (known && known.start !== told.start) return anew();
      if (known && (known.state !== told.state || lost >= LOST)) HX.refresh?.();
      known = told;
      lost = 0;
      banner("");
    } catch { if (++lost >= LOST) banner(why(status)); }
  };

  const begin = () => {
    look();
    setInterval(look, EVERY);
    document.addEventListener("visibilitychange", look);
  };
  if (document.readyState === "complete") begin(); else window.addEventListener("load", begin);
})();
