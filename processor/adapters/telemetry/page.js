"use strict";
const look = async () => {
  try {
    const answer = await fetch("/", { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const live = document.getElementById("live");
    const open = [...live.querySelectorAll("details")].map((each) => each.open);
    live.replaceWith(document.importNode(fresh.getElementById("live"), true));
    [...document.querySelectorAll("#live details")].forEach((each, at) => { each.open = open[at] ?? each.open; });
    document.title = fresh.title;
  } catch {
    document.title = "no answer · segment-fullstory";
    const state = document.querySelector(".state");
    state.className = "state bad";
    state.querySelector("h2").textContent = "No answer";
    state.querySelector("p").textContent = "The worker does not answer; what stands below is old.";
  }
};
setInterval(() => { if (!document.hidden) look(); }, 2000);
