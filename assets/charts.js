/* The explanation of a moment, and Plotly figures as the server sends them, coloured for the light or the dark page. */
(() => {
  "use strict";
  const HX = window.HX = window.HX || {};
  const DARK = [[0, "#1b2433"], [0.45, "#22506b"], [0.75, "#2f9c95"], [1, "#ffd166"]];     // nodes of a role graph
  const LIGHT = [[0, "#f4f6fa"], [0.45, "#b9dbe8"], [0.75, "#3aa6a0"], [1, "#155e75"]];
  const COLOURS = {total: "#6d7ff2", loss: "#6d7ff2", rate: "#e0a13c"};
  const drawn = new Map();       // element -> the function that draws it again

  let loading = null;
  const plotly = () => {
    if (window.Plotly) return Promise.resolve(window.Plotly);
    loading = loading || new Promise((resolve, reject) => {
      const script = HX.make("script", {src: "/assets/plotly.min.js"});
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => { loading = null; reject(new Error("plotly.min.js was not served")); };
      document.head.append(script);
    });
    return loading;
  };

  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 1500));
  window.addEventListener("load", () => idle(() => plotly().catch(() => {})));

  const dark = () => document.body.classList.contains("dark");

  const dress = (figure) => {
    const night = dark(), ink = night ? "#c9d3e3" : "#39455a", faint = night ? "#2b3648" : "#e3e8f0";
    const data = figure.data.map((trace) => {
      const made = {...trace};
      if (trace.role === "total") Object.assign(made, {
        line: {...trace.line, color: COLOURS.total, width: 2}, fillcolor: "rgba(109,127,242,.16)", marker: {size: 6, color: COLOURS.total}});
      if (trace.role === "loss" || trace.role === "rate") made.line = {color: COLOURS[trace.role], width: trace.role === "loss" ? 2 : 1};
      if (trace.role === "edge") made.line = {color: night ? "#52627c" : "#b3bfd1", width: 1.5};
      if (trace.role === "roles") made.textfont = {size: 10, color: night ? "#93a3bd" : "#6a7890"};
      if (trace.role === "nodes") Object.assign(made, {
        marker: {...trace.marker, colorscale: night ? DARK : LIGHT, line: {color: ink, width: 1}}, textfont: {size: 12, color: ink}});
      delete made.role;
      return made;
    });
    const axis = (own) => ({gridcolor: faint, zeroline: false, linecolor: faint, tickfont: {size: 11}, ...own});
    const layout = {paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {color: ink, size: 12, family: "system-ui, sans-serif"}, ...figure.layout};
    for (const name of ["xaxis", "yaxis", "yaxis2"]) if (layout[name]) layout[name] = axis(layout[name]);
    layout.hoverlabel = {bgcolor: night ? "#0e1420" : "#ffffff", bordercolor: faint, font: {color: ink, size: 12}};
    return {data, layout};
  };

  const draw = async (box, figure, onPick) => {
    box.hidden = !figure;
    drawn.delete(box);
    if (!figure) return;
    box.style.height = `${figure.layout.height}px`;
    const paint = async () => {
      const Plotly = await plotly(), width = box.clientWidth;
      if (!width) return;                          // a tab that is not shown: painted when it is
      const {data, layout} = dress(figure);
      await Plotly.react(box, data, {...layout, width}, {displayModeBar: false});
      if (!onPick) return;
      box.removeAllListeners("plotly_click");
      box.on("plotly_click", (event) => onPick(event.points[event.points.length - 1]));
    };
    const inTurn = () => (box.painting = (box.painting || Promise.resolve()).catch(() => {}).then(paint));   // two at once mix their axes
    drawn.set(box, inTurn);
    sized.observe(box);
    await inTurn();
  };
  HX.draw = draw;

  const again = () => drawn.forEach((paint, box) => box.isConnected ? paint() : drawn.delete(box));
  const sized = new ResizeObserver((seen) => seen.forEach(({target}) => {
    if (target.clientWidth !== target.layout?.width) drawn.get(target)?.();
  }));
  new MutationObserver(again).observe(document.body, {attributes: true, attributeFilter: ["class"]});

  /* ---- the explanation: phrase x clip, word x frame, score over the file */
  HX.charts = (element, trigger, props, watch) => {
    const part = (name) => element.querySelector(`.hx-${name}`);
    let value = {}, picked = null, drawnFrom = "";

    const columns = (table, test) => table.querySelectorAll("[data-column]").forEach((one) => test(one, Number(one.dataset.column)));
    const fade = (clip) => {
      const own = new Set(clip.frames);
      columns(part("strip"), (one, i) => one.classList.toggle("hx-faded", own.size > 0 && !own.has(i)));
    };
    const ask = (grid, row, column) => {
      const clip = grid.kind === "clip", text = grid.rows[row];
      picked = {kind: grid.kind, time: (column.start + column.end) / 2, phrase: clip ? text : "", word: clip ? "" : text, id: value.id};
      part("ask").hidden = false;
      part("ask").querySelector("span").textContent = `Is the ${column.title} right for “${text}”?`;
    };
    const tableOf = (name) => {
      const grid = value[name], box = part(name === "heat" ? "heatmap" : "strip"), block = part(`${name}-block`), none = block.querySelector(".hx-none");
      block.hidden = !grid || (!grid.rows.length && !grid.empty);
      if (block.hidden) return box.replaceChildren();
      Object.assign(block.querySelector("h4"), {textContent: grid.title, title: grid.told});
      none.hidden = !grid.empty;
      none.textContent = grid.empty;
      if (!grid.rows.length) return box.replaceChildren();
      const play = (column) => { HX.play(value.id, column.start, column.end); if (name === "heat") fade(column); };
      HX.heat(box, grid, {
        pick: (row, column) => { play(grid.columns[column]); if (grid.values[row][column] != null) ask(grid, row, grid.columns[column]); },
        still: (column) => play(grid.columns[column]),
      });
    };
    const learned = () => part("learned").replaceChildren(...(value.learned || []).map((phrase, i) => {
      const words = phrase.map(({word, weight}) => HX.make("span", {style: `opacity:${0.35 + 0.65 * Math.min(1, weight)}`, title: `weight ${weight}`}, word));
      return HX.make("p", {title: "A phrase the model made itself, by the words it is made of"}, `learned ${i + 1}: `, ...words);
    }));
    const say = (text) => { part("problem").hidden = !text; part("problem").textContent = text || ""; };
    const show = async () => {
      const told = JSON.stringify(props.value || {});
      if (told === drawnFrom) return;              // the same evidence again, after a thumb: what was picked stays picked
      drawnFrom = told;
      value = props.value || {};
      element.classList.toggle("hx-empty", !value.id);
      part("ask").hidden = true;
      ["heat", "words"].forEach(tableOf);
      part("keep").hidden = !value.heat;
      part("file-block").hidden = !value.curve;
      learned();
      say(value.note);
      try {
        await draw(part("curve"), value.curve, (point) => point.customdata?.[0] != null && HX.play(value.id, point.customdata[0], point.customdata[1]));
      } catch (error) { say(`The curve cannot be drawn: ${error.message}`); }
    };
    /* play along: the columns of the present frame light up */
    const nearest = (all, time) => all.reduce((best, one, i) => Math.abs(one.start - time) < Math.abs(all[best].start - time) ? i : best, 0);
    HX.mark = (time, id) => {
      if (id !== value.id || !value.heat) return columns(element, (one) => one.classList.remove("hx-now"));
      const within = (column) => column.spans.some(([a, b]) => time >= a - 0.05 && time < b + 0.05);
      const lit = {heat: (i) => within(value.heat.columns[i]), words: null};
      const frames = value.words.columns, gap = frames.length > 1 ? frames[1].start - frames[0].start : 1, at = frames.length ? nearest(frames, time) : -1;
      lit.words = (i) => i === at && Math.abs(frames[at].start - time) <= gap;
      columns(part("heatmap"), (one, i) => one.classList.toggle("hx-now", lit.heat(i)));
      columns(part("strip"), (one, i) => one.classList.toggle("hx-now", lit.words(i)));
    };
    element.addEventListener("click", (event) => {
      const good = event.target.closest("button[data-good]"), save = event.target.closest("button[data-save]");
      if (save) {
        save.closest("details").open = false;
        const {query = "", name = "", span = "", model = ""} = value.about || {};
        HX.heatFile(save.dataset.save, value[save.dataset.grid], {query, name, span, model}).catch((error) => say(`The file cannot be made: ${error.message}`));
      }
      if (!good || !picked) return;
      trigger("feedback", {...picked, good: good.dataset.good === "yes"});
      HX.blink(good);
    });
    watch("value", show);
    show();
  };

  /* ---- one figure alone: the role graph, the loss curve */
  HX.figure = (element, trigger, props, watch) => {
    const box = element.querySelector(".hx-figure"), note = element.querySelector(".hx-note");
    const fold = element.querySelector("details");
    const show = () => {
      const value = props.value || {};
      if (fold?.open && !value.figure && !value.note) return trigger("open", {});    // another moment was chosen while it is unfolded
      note.textContent = value.note || "";
      note.hidden = !value.note;
      draw(box, value.figure, (point) => {
        const time = point.customdata?.[0];
        if (time != null && value.id) HX.play(value.id, time, time);
      }).catch((error) => {
        note.hidden = false;
        note.textContent = `The chart cannot be drawn: ${error.message}`;
      });
    };
    fold?.addEventListener("toggle", (event) => event.target.open && trigger("open", {}));
    watch("value", show);
    show();
  };
})();
