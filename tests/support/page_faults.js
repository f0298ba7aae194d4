// What of a page cannot be read or used: run in the page by tests/support/browser.py.
() => {
  const faults = [], numbers = colour => colour.match(/[\d.]+/g).map(Number);
  const part = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = colour => 0.2126 * part(colour[0]) + 0.7152 * part(colour[1]) + 0.0722 * part(colour[2]);
  const ground = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = numbers(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const seen = element => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.right > 0 && getComputedStyle(element).visibility === "visible";
  };
  if (document.documentElement.scrollWidth > innerWidth)
    faults.push(`the page is ${document.documentElement.scrollWidth} wide, the window ${innerWidth}`);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, words = texts.currentNode.textContent.trim();
    if (!words || !seen(element)) continue;
    const style = getComputedStyle(element);
    const levels = [light(numbers(style.color)), light(ground(element))].sort((a, b) => b - a);
    const contrast = (levels[0] + 0.05) / (levels[1] + 0.05);
    if (contrast < 4.5) faults.push(`${words.slice(0, 40)}: contrast ${contrast.toFixed(2)}`);
    if (parseFloat(style.fontSize) < 12) faults.push(`${words.slice(0, 40)}: letters of ${style.fontSize}`);
  }
  for (const each of document.querySelectorAll("button, input, select, summary")) {
    const self = each.outerHTML.slice(0, 80);
    if (seen(each) && each.getBoundingClientRect().height < 24) faults.push(`${self} is too small`);
    if (each.matches("input, select") && !each.labels.length) faults.push(`${self} has no label`);
  }
  for (const each of document.images) {
    if (!each.alt) faults.push(`${each.src} has no alt`);
    if (each.complete && !each.naturalWidth) faults.push(`${each.src} shows nothing`);
  }
  if (document.querySelectorAll("h1").length !== 1) faults.push("there is not one h1");
  return faults;
}
