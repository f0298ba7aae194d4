// The element that has the focus.
() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const name = element.labels?.length ? element.labels[0].textContent : element.textContent;
  const box = element.getBoundingClientRect();
  return { tag: element.tagName, name: name.trim().replace(/\s+/g, " "), left: box.left,
           outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth) };
}
