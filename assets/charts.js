/* Plotly figures as the server sends them, coloured for the light or the dark page; a click on a cell jumps the player. */
(() => {
  "use strict";
  const HX = window.HX = window.HX || {};
  const DARK = [[0, "#1b2433"], [0.45, "#22506b"], [0.75, "#2f9c95"], [1, "#ffd166"]];
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

  const TIGHT = 27, SNUG = 74;   // px of a column below which its numbers, or its start and end, no longer fit

  const fit = (trace, layout, width) => {
    const columns = trace.z[0].length, column = (width - layout.margin.l - layout.margin.r) / columns, axis = {...layout.xaxis};
    if (column < SNUG) axis.ticktext = axis.ticktext.map((text) => text.split("–")[0]);
    if (column < TIGHT) Object.assign(axis, {tickvals: axis.tickvals.filter((_, i) => i % 2 === 0), ticktext: axis.ticktext.filter((_, i) => i % 2 === 0)});
    if (column < TIGHT) trace.texttemplate = "";
    layout.xaxis = axis;
  };

  const dress = (figure, width) => {
    const night = dark(), ink = night ? "#c9d3e3" : "#39455a", faint = night ? "#2b3648" : "#e3e8f0";
    const data = figure.data.map((trace) => {
      const made = {...trace};
      if (trace.type === "heatmap") Object.assign(made, {colorscale: night ? DARK : LIGHT, textfont: {size: 11}});
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
    data.filter((t) => t.type === "heatmap").forEach((t) => fit(t, layout, width));
    if (data.some((t) => t.type === "heatmap")) for (const name of ["xaxis", "yaxis"]) layout[name].showgrid = false;
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
      const {data, layout} = dress(figure, width);
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

  const stillRow = (box, stills, value, onPick) => {
    box.style.paddingLeft = `${value.left}px`;
    box.style.paddingRight = `${value.right}px`;
    box.replaceChildren(...stills.map((still, number) => {
      const image = HX.make("img", {src: still.src, alt: "", title: `Play from ${still.title}`, loading: "lazy"});
      image.addEventListener("error", () => image.classList.add("hx-nostill"));
      image.addEventListener("click", () => onPick(still, number));
      return HX.make("div", {}, image);
    }));
  };

  /* ---- the explanation: phrase x clip, word x frame of the chosen clip, score over the file */
  HX.charts = (element, trigger, props, watch) => {
    const part = (name) => element.querySelector(`.hx-${name}`);
    let value = {}, picked = null, drawnFrom = "";

    const clipFrames = (number) => (value.clips || []).find((clip) => clip.clip === number)?.frames || [];
    const fade = (number) => {
      const own = new Set(clipFrames(number));
      part("frames").querySelectorAll("div").forEach((box, i) => box.classList.toggle("hx-faded", own.size > 0 && !own.has(i)));
      if (!value.strip || !window.Plotly) return;
      const shapes = [...own].map((i) => ({type: "rect", xref: "x", yref: "paper", x0: i - .5, x1: i + .5, y0: 0, y1: 1, line: {color: COLOURS.total, width: 1}, fillcolor: "rgba(109,127,242,.10)", layer: "below"}));
      window.Plotly.relayout(part("strip"), {shapes});
    };
    const ask = ([start, end, text, kind]) => {
      picked = {kind, time: (start + end) / 2, phrase: kind === "clip" ? text : "", word: kind === "frame" ? text : "", id: value.id};
      const where = kind === "clip" ? `The clip at ${HX.clock(start)}–${HX.clock(end)} for` : `The frame at ${HX.clock(start)} for`;
      const box = part("ask");
      box.hidden = false;
      box.querySelector("span").textContent = `${where} “${text}”:`;
    };
    const pick = (point) => {
      const data = point.customdata;
      if (!data || data[0] === null) return;
      HX.play(value.id, data[0], data[1]);
      if (data[3] === "clip") fade(data[4]);
      if (data[3] === "clip" || data[3] === "frame") ask(data);
    };
    const learned = () => part("learned").replaceChildren(...(value.learned || []).map((phrase, i) => {
      const words = phrase.map(({word, weight}) => HX.make("span", {style: `opacity:${0.35 + 0.65 * Math.min(1, weight)}`, title: `weight ${weight}`}, word));
      return HX.make("p", {title: "A phrase the model made itself, by the words it is made of"}, `learned ${i + 1}: `, ...words);
    }));
    const head = (name, figure) => {
      const {title, told, empty} = value.heads?.[name] || {}, block = part(`${name}-block`);
      block.hidden = !figure && !empty;
      if (title) Object.assign(block.querySelector("h4"), {textContent: title, title: told});
      block.querySelector(".hx-none").hidden = !empty;
      block.querySelector(".hx-none").textContent = empty || "";
    };
    const show = async () => {
      const told = JSON.stringify(props.value || {});
      if (told === drawnFrom) return;              // the same evidence again, after a thumb: what was picked stays picked
      drawnFrom = told;
      value = props.value || {};
      element.classList.toggle("hx-empty", !value.id);
      part("ask").hidden = true;
      head("heat", value.heatmap);
      head("words", value.strip);
      part("file-block").hidden = !value.curve;
      part("problem").hidden = Boolean(window.Plotly) || !value.id;
      part("problem").textContent = "Drawing…";
      try {
        await Promise.all([draw(part("heatmap"), value.heatmap, pick), draw(part("strip"), value.strip, pick), draw(part("curve"), value.curve, pick)]);
        part("problem").hidden = !value.note;
        part("problem").textContent = value.note || "";
      } catch (error) { part("problem").hidden = false; part("problem").textContent = `The charts cannot be drawn: ${error.message}`; }
      stillRow(part("clips"), value.clips || [], value, (still) => { HX.play(value.id, still.time, still.time); fade(still.clip); });
      stillRow(part("frames"), value.frames || [], value, (still) => HX.play(value.id, still.time, still.time));
      learned();
    };
    HX.mark = (time) => {
      const frames = value.frames || [];
      let at = -1;
      frames.forEach((frame, i) => { if (frame.time <= time + 0.05) at = i; });
      part("frames").querySelectorAll("div").forEach((box, i) => box.classList.toggle("hx-now", i === at));
    };
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-good]");
      if (!button || !picked) return;
      trigger("feedback", {...picked, good: button.dataset.good === "yes"});
      HX.blink(button);
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
