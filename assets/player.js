/* The player: one <video>, told what to show by a card, a table or the server; loop, speed, steps and full screen. */
(() => {
  "use strict";
  const FRAME = 1 / 25;          // seconds one press of , or . moves where the browser has not yet told the film's own rate
  const SKIP = 5;                // seconds J and L move
  const POLL = 700;              // ms between two looks at the making of a playable copy
  const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
  const CANNOT = "This file cannot be played here; open it in your own player.";
  const HX = window.HX = window.HX || {};
  HX.video = () => document.getElementById("hx-video");

  const now = {id: "", start: 0, end: 0, wanted: 0, frame: 0};
  const kept = (name, other) => { try { return JSON.parse(localStorage.getItem(`hx-${name}`)) ?? other; } catch { return other; } };
  const keep = (name, value) => { try { localStorage.setItem(`hx-${name}`, JSON.stringify(value)); } catch { /* a browser that keeps nothing */ } };
  const box = (name) => document.querySelector(`#hx-player ${name}`);

  const cover = (text, share) => {
    const shade = document.querySelector(".hx-cover");
    if (!shade) return;
    shade.hidden = !text;
    shade.querySelector("p").textContent = text || "";
    const bar = shade.querySelector("progress");
    bar.hidden = share === undefined;
    if (share !== undefined) bar.value = share;
  };

  const seek = (time, autoplay) => {
    const video = HX.video();
    video.currentTime = Math.min(time, Math.max(0, (video.duration || time) - 0.05));
    if (autoplay) video.play().catch(() => {});
  };

  const attach = (id, start, autoplay) => {
    const video = HX.video();
    cover("");
    video.hidden = false;
    now.frame = 0;
    video.src = `/media/${encodeURIComponent(id)}`;
    video.addEventListener("loadedmetadata", () => seek(start, autoplay), {once: true});
    video.load();
    video.playbackRate = video.defaultPlaybackRate = kept("speed", 1);
  };

  const stateOf = async (id) => {
    try {
      const answer = await fetch(`/media/${encodeURIComponent(id)}/state`, {headers: {accept: "application/json"}});
      return await answer.json();
    } catch { return {state: "ready"}; }           // the app was stopped: the page says so by itself
  };

  const prepare = async (id, start, autoplay, turn) => {
    const state = await stateOf(id);
    if (turn !== now.wanted) return;
    if (state.state === "ready") return attach(id, start, autoplay);
    if (state.state === "failed") return cover(state.message || CANNOT);
    cover(state.message || "Making a copy this browser can play", Number(state.progress) || 0);
    setTimeout(() => turn === now.wanted && prepare(id, start, autoplay, turn), POLL);
  };

  const failed = async () => {                     // gone since it was opened, or of a kind this browser cannot show
    const turn = now.wanted;
    if (!now.id || !HX.video().getAttribute("src")) return;
    const state = await stateOf(now.id);
    if (turn === now.wanted) cover(state.state === "failed" && state.message ? state.message : CANNOT);
  };

  HX.play = (id, start, end, autoplay = true) => {
    const video = HX.video();
    if (!video || !id) return;
    const same = now.id === id && video.readyState > 0 && !video.error;
    Object.assign(now, {id, start, end, wanted: now.wanted + 1});
    if (same) return seek(start, autoplay);
    video.pause();
    cover("Opening…");
    prepare(id, start, autoplay, now.wanted);
  };
  HX.jump = (start, end = start) => HX.play(now.id, start, end);

  /* ---- loop, speed, steps */
  const looping = () => kept("loop", false);
  const tell = () => {
    const video = HX.video(), loop = box("[data-act=loop]"), speed = box("select[name=speed]");
    loop?.setAttribute("aria-pressed", String(looping()));
    if (speed && video) speed.value = String(video.playbackRate);
  };
  const around = (video) => {
    if (looping() && now.end > now.start && !video.paused && (video.currentTime >= now.end || video.currentTime < now.start - 1)) video.currentTime = now.start;
  };
  const speedTo = (rate) => { const video = HX.video(); video.playbackRate = video.defaultPlaybackRate = rate; keep("speed", rate); tell(); };
  const faster = (by) => {
    const at = SPEEDS.findIndex((rate) => rate >= HX.video().playbackRate - 0.01);
    speedTo(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))]);
  };

  const watchRate = (video) => {                   // the film's own time between two frames, as the browser shows them
    if (!video.requestVideoFrameCallback) return;
    let before = null;
    const seen = (_, {mediaTime, presentedFrames}) => {
      if (before && presentedFrames === before.frames + 1 && mediaTime > before.time) {
        const gap = mediaTime - before.time;
        if (gap < 0.5) now.frame = now.frame ? Math.min(now.frame, gap) : gap;
      }
      before = {time: mediaTime, frames: presentedFrames};
      video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback(seen);
  };

  const step = (frames) => {
    const video = HX.video();
    if (!video) return;
    video.pause();
    video.currentTime = Math.max(0, video.currentTime + frames * (now.frame || FRAME));
  };
  const skip = (seconds) => { const video = HX.video(); if (video) video.currentTime = Math.max(0, video.currentTime + seconds); };
  const toggle = () => { const v = HX.video(); if (v) v.paused ? v.play().catch(() => {}) : v.pause(); };

  const turn = (by, selector) => {
    const all = HX.visibleAll(selector);
    const here = (n) => n.dataset.id === now.id && (selector === ".hx-card" || Math.abs(Number(n.dataset.start) - now.start) < 0.01);
    const own = all.findIndex((n) => here(n) && n.closest(".hx-chosen")), at = own >= 0 ? own : all.findIndex(here);
    const next = all[Math.min(all.length - 1, Math.max(0, at + by))];
    if (next) { next.click(); if (!document.fullscreenElement) next.scrollIntoView({block: "nearest"}); }
  };

  const full = () => {
    if (document.fullscreenElement) return document.exitFullscreen();
    return box(".hx-player")?.requestFullscreen?.().catch(() => {});
  };
  HX.leaveFullScreen = () => document.fullscreenElement && document.exitFullscreen();

  HX.keys = {
    previous: () => turn(-1, ".hx-card, .hx-moment"), next: () => turn(1, ".hx-card, .hx-moment"),
    previousHit: () => turn(-1, ".hx-card"), nextHit: () => turn(1, ".hx-card"),
    back: () => step(-1), on: () => step(1), skipBack: () => skip(-SKIP), skipOn: () => skip(SKIP), toggle, full,
    loop: () => { keep("loop", !looping()); tell(); }, slower: () => faster(-1), faster: () => faster(1),
  };

  HX.player = (element, trigger, props, watch) => {
    const video = element.querySelector("video");
    const show = () => {
      const value = props.value || {};
      element.classList.toggle("hx-empty", !value.id);
      element.querySelector(".hx-title").textContent = value.title || "";
      element.querySelector(".hx-title").title = value.path || "";
      element.querySelectorAll("[data-act=good], [data-act=bad]").forEach((thumb) =>
        thumb.setAttribute("aria-pressed", String(thumb.dataset.act === value.judged)));
      const other = value.id !== now.id || Math.abs(value.start - now.start) > 0.01;
      if (!value.id) { video.pause(); Object.assign(now, {id: "", wanted: now.wanted + 1}); }
      if (value.id && value.load && other) HX.play(value.id, value.start, value.end, false);
    };
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-act]");
      if (!button) return;
      const act = button.dataset.act;
      if (HX.keys[act]) return HX.keys[act]();
      trigger("act", {action: act, id: now.id, time: video.currentTime || now.start});
      if (act === "good" || act === "bad") HX.blink(button);
    });
    element.addEventListener("change", (event) => event.target.name === "speed" && speedTo(Number(event.target.value)));
    video.addEventListener("error", failed);
    video.addEventListener("timeupdate", () => { around(video); HX.mark?.(video.currentTime, now.id); });
    video.addEventListener("seeked", () => HX.mark?.(video.currentTime, now.id));
    video.addEventListener("ended", () => { if (looping() && now.end > now.start) { video.currentTime = now.start; video.play().catch(() => {}); } });
    video.addEventListener("volumechange", () => keep("volume", {volume: video.volume, muted: video.muted}));
    video.addEventListener("ratechange", tell);
    const {volume, muted} = kept("volume", {volume: 1, muted: false});
    video.volume = Math.max(0, Math.min(1, Number(volume) || 0));
    video.muted = Boolean(muted);
    watchRate(video);
    watch("value", show);
    tell();
    show();
  };
})();
