"use strict";
// Keeps the changing part of a page current: server-sent events bring it as HTML, which is compared with what is shown,
// so that focus, selections and what somebody has opened stay as they are. Without this script pages work as well.

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE && node.id ? node.id : null;
}

function alike(shown, wanted) {
  return shown.nodeType === wanted.nodeType && shown.nodeName === wanted.nodeName && keyOf(shown) === keyOf(wanted);
}

function copyAttributes(shown, wanted) {
  for (const { name } of [...shown.attributes]) {
    // Whether something is open is the reader's decision.
    if (!wanted.hasAttribute(name) && name !== "open") shown.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
}

function become(shown, wanted) {
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    if (shown.nodeValue !== wanted.nodeValue) shown.nodeValue = wanted.nodeValue;
    return;
  }
  copyAttributes(shown, wanted);
  const known = new Map([...shown.children].filter(keyOf).map((child) => [child.id, child]));
  let next = shown.firstChild;
  for (const child of [...wanted.childNodes]) {
    const match = keyOf(child) ? known.get(child.id) : next;
    if (match && alike(match, child)) {
      if (match === next) next = next.nextSibling;
      else shown.insertBefore(match, next);
      become(match, child);
    } else {
      shown.insertBefore(document.importNode(child, true), next);
    }
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
}

function follow(place) {
  const source = new EventSource(place.dataset.stream);
  const connection = document.getElementById("connection");
  const tell = (words) => {
    connection.textContent = words;
    connection.classList.toggle("unseen", !words);
  };
  source.onopen = () => tell("");
  source.onerror = () => tell(source.readyState === EventSource.CLOSED ? "not current: reload" : "reconnecting…");
  source.onmessage = (event) => {
    const parsed = new DOMParser().parseFromString(event.data, "text/html");
    const [shown, wanted] = [place.firstElementChild, parsed.body.firstElementChild];
    if (shown && wanted) become(shown, wanted);
  };
  source.addEventListener("over", () => {
    source.close();
    tell("not current: reload");
  });
}

document.querySelectorAll("[data-stream]").forEach(follow);
