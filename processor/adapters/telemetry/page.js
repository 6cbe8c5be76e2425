"use strict";
const PAUSE_MS = 2000, PATIENCE_MS = 5000, FOCUSABLE = "a, summary";
let answeredAt = new Date();
// Only what differs is put in: what the reader has selected elsewhere stays, and is not read out again. What is unfolded or
// has the focus is so in what is put in, too.
const show = (fresh) => {
  const sections = [...document.getElementById("live").children];
  [...fresh.getElementById("live").children].forEach((each, at) => {
    const open = [...sections[at].querySelectorAll("details")].map((one) => one.open);
    [...each.querySelectorAll("details")].forEach((one, index) => { one.open = open[index] ?? one.open; });
    if (each.outerHTML === sections[at].outerHTML) return;
    const focused = [...sections[at].querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
    sections[at].className = each.className;
    sections[at].replaceChildren(...document.importNode(each, true).childNodes);
    sections[at].querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
  });
  document.title = fresh.title;
};
const giveUp = () => {
  document.title = "no answer · segment-fullstory";
  const state = document.querySelector(".state");
  state.className = "state bad";
  state.querySelector("h2").textContent = "No answer";
  state.querySelector("p").textContent = `The worker has not answered since ${answeredAt.toISOString().slice(11, 19)} UTC, `
    + "and what stands below is old. Check that its process runs, and the network in between.";
};
const look = async () => {
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    answeredAt = new Date();
  } catch {
    giveUp();
  }
};
const goOn = async () => {
  if (!document.hidden) await look();
  setTimeout(goOn, PAUSE_MS);
};
setTimeout(goOn, PAUSE_MS);
