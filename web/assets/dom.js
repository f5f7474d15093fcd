// Makes nodes and words. All text that comes from the daemon gets into the page as text, never as markup.

/** Puts children in the place of what a node has; what is null or false is left out. */
export const fill = (node, ...children) => node.replaceChildren(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));

/** A node with attributes and children; strings become text. `on…` adds a listener. */
export function h(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'width-percent') node.style.width = `${value}%`;
    else if (key === 'left-percent') node.style.left = `${value}%`;
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  return node;
}

export function panel(title, attributes, ...children) {
  const { class: more = '', ...rest } = attributes ?? {};
  return h('section', { class: `panel ${more}`, ...rest }, title && h('h2', {}, title), ...children);
}

/**
 * A table; a column is {name, n: true for numbers, t: true for what does not wrap, words: true for text}. On a narrow screen a table that
 * stacks has a paragraph a row; another one is moved sideways.
 */
export function table(columns, rows, empty = 'nothing yet', stacks = false) {
  if (rows.length === 0) return h('p', { class: 'empty' }, empty);
  const kind = (column) => (column.n ? 'n' : column.t ? 't' : column.words ? 'words' : undefined);
  const cells = (row) => columns.map((column, place) => h('td', { class: kind(column) }, row[place] ?? '–'));
  // on a narrow screen the words of a row stand below the rest of it
  const isStacked = stacks || columns.at(-1).words;
  const box = h('div', { class: 'scroll', onscroll: () => tell(box) }, h('table', { class: isStacked ? 'stacked' : undefined },
    h('thead', {}, h('tr', {}, columns.map((column) => h('th', { class: kind(column), scope: 'col' }, column.name)))),
    h('tbody', {}, rows.map((row) => h('tr', row.attributes ?? {}, cells(row.cells ?? row))))));
  sizes.observe(box);
  return box;
}
/** Shows whether a table goes on to the right. */
const tell = (box) => box.classList.toggle('more', box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
const sizes = new ResizeObserver((boxes) => boxes.forEach(({ target }) => (target.isConnected ? tell(target) : sizes.unobserve(target))));

export function list(pairs, attributes = {}) {
  return h('dl', attributes, pairs.filter(Boolean).map(([term, words]) => [h('dt', {}, term), h('dd', {}, words ?? '–')]));
}

const marks = { good: '✓ ', warn: '▲ ', bad: '■ ', plain: '' };
/** A word with a mark, so that its colour is not all that tells it. */
export const tag = (kind, text) => h('span', { class: `tag ${kind}` }, marks[kind] + text);

/** How far a value is on the way to its limit, 0 to 1, with both in words. */
export function gauge({ name, value, limit, share, near = 0.75, at = null }) {
  const percent = Math.max(0, Math.min(100, 100 * (share ?? 0)));
  return h('div', { class: 'gauge' },
    h('div', { class: 'words' }, h('span', {}, name), h('span', {}, value, ' ', h('span', { class: 'soft' }, limit))),
    h('div', { class: `track${share >= near ? ' near' : ''}`, role: 'meter', 'aria-label': name, 'aria-valuemin': 0, 'aria-valuemax': 100,
      'aria-valuenow': Math.round(percent), 'aria-valuetext': `${value} ${limit}` },
    h('i', { 'width-percent': percent }), at === null ? null : h('b', { 'left-percent': 100 * at })));
}

/** A figure as a bar to the left or the right of nothing, `share` of the longest one, -1 to 1; the number stands beside it. */
export function lean(share, text) {
  const [width, isLeft] = [Math.min(50, Math.abs(50 * share)), share < 0];
  const bar = h('i', { class: isLeft ? 'less' : 'more', 'width-percent': width, 'left-percent': isLeft ? 50 - width : 50 });
  return h('span', { class: 'lean' }, h('span', { class: 'lean-track', 'aria-hidden': 'true' }, bar), h('span', {}, text));
}
/** A share as a bar, with the number. */
export const fillBar = (share, text) => h('span', { class: 'lean' },
  h('span', { class: 'lean-track whole', 'aria-hidden': 'true' }, h('i', { class: 'more', 'width-percent': Math.min(100, 100 * share) })), h('span', {}, text));

// ---- numbers and times

const settings = { utc: false };
export const zone = () => (settings.utc ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone || 'local time');
export function useUtc(utc) { settings.utc = utc; }
export const isUtc = () => settings.utc;

export function number(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const most = Math.abs(value) >= 1000 ? 0 : digits;
  return value.toLocaleString('en-US', { maximumFractionDigits: most });
}
export const percent = (share, digits = 1) => (Number.isFinite(share) ? `${number(100 * share, digits)} %` : '–');
export const money = (value) => (Number.isFinite(value) ? `${value > 0 ? '+' : ''}${number(value, 0)}` : '–');
export function figure(value) {
  if (!Number.isFinite(value)) return '–';
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  const digits = Math.abs(value) < 10 ? 3 : 1;
  // points stand below each other in a column
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return number(value, digits);
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
export const bytes = (count) => (count >= 1 << 20 ? `${number(count / (1 << 20), 1)} MiB` : `${number(count / 1024, 0)} KiB`);

function parts(at) {
  const options = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
  if (settings.utc) options.timeZone = 'UTC';
  return Object.fromEntries(new Intl.DateTimeFormat('en-GB', options).formatToParts(at).map((part) => [part.type, part.value]));
}
/** A time in the zone that the head of the page names. */
export function time(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return '–';
  const { year, month, day, hour, minute, second } = parts(at);
  return `${year}-${month}-${day} ${hour}:${minute}:${second}`;
}
export const stamp = (text) => h('time', { datetime: text, title: text }, time(text));
export function ago(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
export const symbolOf = (version) => version.split('/')[0];
/** A number with its sign. */
export const signed = (value) => (Number.isFinite(value) ? `${value > 0 ? '+' : ''}${figure(value)}` : '–');
export const seconds = (text) => new Date(text).getTime() / 1000;
export const who = (by) => (by?.daemon ? `the daemon (${by.daemon})` : by?.uid !== undefined ? `uid ${by.uid}` : '–');

/** What an event says, in one line of words. */
export function words(event) {
  switch (event.event) {
    case 'alert': return `${event.code}: ${event.message}`;
    case 'moved': return `${event.version}: ${String(event.step).replaceAll('_', ' ')}${event.overridden ? ' (override)' : ''} – ${event.reason}, by ${who(event.by)}`;
    case 'shared': return `${event.version} influences ${percent(event.share, 0)} of its trades – ${event.reason}`;
    case 'judged': return `${event.version} on ${event.day}: ${Number.isFinite(event.composite) ? `composite ${figure(event.composite)}` : 'no composite yet'}${event.degraded ? ', degraded' : ''}${event.unstable ? ', unstable' : ''}`;
    case 'locked': case 'resumed': return `${event.reason}, by ${who(event.by)}`;
    case 'lock_ended': return `the lock until ${time(event.until)} ended by itself`;
    case 'latched': {
      const { breach = {}, version } = event.trip ?? {};
      const what = breach.blank ? `cannot be evaluated: ${JSON.stringify(breach.blank)}` : `${figure(breach.value)} against ${figure(breach.threshold)}`;
      return `emergency of ${version ?? 'the account'}: ${breach.rule} ${what}`;
    }
    case 'trained': return `${event.version} was fitted`;
    case 'tried': return `${event.symbol} ${event.target}: ${event.model}, ${event.closed_trades} trades, ${event.fits?.length ?? 0} fits${event.version ? `, became ${event.version}` : ''}`;
    case 'imported': return `${event.file}: ${event.stored} of ${event.lines} lines stored, ${event.rejected} rejected`;
    case 'started': return `version ${event.code_version}, configuration ${event.config_hash}`;
    case 'reloaded': return `${event.taken ? 'taken' : 'refused'}${event.notes?.length ? `: ${event.notes.join('; ')}` : ''}`;
    case 'restarted': return `${event.actor}: ${event.panic ?? ''}`;
    case 'unreadable': return `${event.what}`;
    default: return '';
  }
}
export const levelKind = (level) => ({ critical: 'bad', warning: 'warn', info: 'plain' }[level] ?? 'plain');

/** GET of JSON; an error has the server's words. */
export async function fetchJson(path) {
  const answer = await fetch(path, { cache: 'no-store' });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error?.message ?? `the answer was ${answer.status}`);
  return body;
}
