// Returns what a person with low vision, a keyboard or a screen reader would stumble over on this page.
const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => {
  const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
};
const over = (top, under) => {
  const alpha = top.length > 3 ? top[3] : 1;
  return [0, 1, 2].map((at) => top[at] * alpha + under[at] * (1 - alpha));
};
const ground = (el) => {
  const layers = [];
  for (let at = el; at; at = at.parentElement) layers.unshift(parts(getComputedStyle(at).backgroundColor));
  return layers.reduce((under, top) => over(top, under), [255, 255, 255]);
};
// WCAG 2.2, 1.4.3: 4.5 to 1, for large text 3 to 1.
const tooFaint = (el) => {
  const style = getComputedStyle(el);
  const ink = over(parts(el.namespaceURI.includes("svg") ? style.fill : style.color), ground(el));
  const [a, b] = [light(ink), light(ground(el))];
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < (isLarge ? 3 : 4.5);
};
const hasText = (el) => [...el.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
const nameOf = (el) =>
  (el.getAttribute("aria-label") || [...(el.labels || [])].map((one) => one.textContent).join() || el.textContent).trim();
const seen = [...document.querySelectorAll("body *")].filter((el) => el.getClientRects().length);
const found = seen.filter((el) => hasText(el) && tooFaint(el)).map((el) => `faint: ${el.textContent.trim().slice(0, 40)}`);
found.push(
  ...seen
    .filter((el) => el.matches("a, button, input:not([type=hidden]), select, textarea") && !nameOf(el))
    .map((el) => `no name: ${el.outerHTML.slice(0, 80)}`),
  ...seen.filter((el) => el.matches("svg") && !nameOf(el)).map(() => "a drawing without words"),
);
const headings = document.querySelectorAll("h1").length;
if (headings !== 1) found.push(`${headings} first headings`);
if (!document.title.includes("·")) found.push(`title: ${document.title}`);
const width = document.documentElement.scrollWidth;
if (width > innerWidth) found.push(`${width} wide`);
return found;
