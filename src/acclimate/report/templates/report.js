"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page").textContent);
  const tip = document.getElementById("tip");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const selected = {};

  // A colour is "<name>" for the style sheet's --name; in text from data "<" is escaped, so it never looks like one.
  function withColours(value, styles) {
    if (typeof value === "string") {
      const name = /^<([a-z0-9-]+)>$/.exec(value);
      return name ? styles.getPropertyValue("--" + name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => withColours(item, styles));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withColours(item, styles)]));
    }
    return value;
  }

  function layoutOf(view) {
    return {
      autosize: true,
      showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      // Touch scrolls the page; only a mouse zooms.
      dragmode: coarse.matches ? false : "zoom",
      uirevision: "kept",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "<soft>" },
      hoverlabel: { bgcolor: "<tip>", bordercolor: "<tip>", font: { color: "<tip-ink>", size: 13 }, align: "left" },
      ...view.layout,
    };
  }

  function draw(box) {
    const views = page.figures[box.dataset.plot].views;
    const group = box.dataset.plot.split(" ")[0];
    const view = views[selected[group]] || Object.values(views)[0];
    const styles = getComputedStyle(document.documentElement);
    const config = { displayModeBar: false, responsive: true, showTips: false };
    return Plotly.react(box, withColours(view.data, styles), withColours(layoutOf(view), styles), config);
  }

  function element(tag, text, parent) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    parent.append(made);
    return made;
  }

  function showTip(event) {
    const point = page.points[event.points[0].customdata];
    if (!point) return;
    tip.replaceChildren();
    if (point.image) element("img", "", tip).src = point.image;
    const text = element("div", "", tip);
    element("p", point.domain + " · " + point.name, text).className = "name";
    for (const line of point.lines) element("p", line, text);
    if (point.text) element("p", point.text, text).className = "text";
    tip.hidden = false;
    const { clientX, clientY } = event.event;
    const across = Math.min(clientX + 16, innerWidth - tip.offsetWidth - 8);
    const below = clientY + 16 + tip.offsetHeight < innerHeight;
    tip.style.left = Math.max(8, across) + "px";
    tip.style.top = Math.max(8, below ? clientY + 16 : clientY - tip.offsetHeight - 16) + "px";
  }

  function hideTip() {
    tip.hidden = true;
  }

  const boxes = [...document.querySelectorAll("[data-plot]")];

  async function drawAll() {
    for (const box of boxes) {
      await draw(box);
      if (!box.dataset.drawn && box.dataset.plot.startsWith("map ")) {
        box.on("plotly_hover", showTip);
        box.on("plotly_click", showTip);
        box.on("plotly_unhover", hideTip);
      }
      box.dataset.drawn = "yes";
    }
    document.body.dataset.drawn = dark.matches ? "dark" : "light";
  }

  for (const group of document.querySelectorAll("[data-group]")) {
    group.addEventListener("change", (event) => {
      selected[group.dataset.group] = event.target.value;
      hideTip();
      boxes.filter((box) => box.dataset.plot.split(" ")[0] === group.dataset.group).forEach(draw);
      for (const key of document.querySelectorAll(`[data-shows^="${group.dataset.group} "]`)) {
        key.hidden = key.dataset.shows !== `${group.dataset.group} ${event.target.value}`;
      }
    });
    // When the browser returns to the page, it keeps the selection.
    const kept = group.querySelector("input:checked");
    if (kept && kept !== group.querySelector("input")) kept.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // Paper is white: colours are light, figures fit the page, and what is folded away is open.
  function forPaper(printing) {
    document.documentElement.toggleAttribute("data-print", printing);
    for (const box of document.querySelectorAll("details")) {
      if (printing) box.dataset.was = box.open ? "open" : "";
      box.open = printing || box.dataset.was === "open";
    }
    boxes.forEach(draw);
  }
  addEventListener("beforeprint", () => forPaper(true));
  addEventListener("afterprint", () => forPaper(false));

  dark.addEventListener("change", drawAll);
  addEventListener("scroll", hideTip, { passive: true });
  drawAll();
})();
