// The frame: tabs, the state in one line, theme and zone. Each screen is a module with `show(root)`, which returns what to call
// with each update and at the end.

import { h, fetchJson, isUtc, useUtc, zone, tag } from './dom.js';
import { begin, learnShares, listen, store } from './live.js';
import { takeToken } from './orders.js';
import * as now from './now.js';
import * as signals from './signals.js';
import * as test from './test.js';
import * as versions from './versions.js';
import * as drift from './drift.js';
import * as learning from './learning.js';
import * as journal from './journal.js';

const SCREENS = { now: ['Now', now], signals: ['Signals', signals], test: ['Test', test], versions: ['Versions', versions],
  drift: ['Drift', drift], learning: ['Learning', learning], journal: ['Journal', journal] };
const THEMES = ['auto', 'light', 'dark'];
const root = document.documentElement;
const at = (id) => document.getElementById(id);
let current = null;

function theme(next) {
  const chosen = next ?? localStorage.getItem('theme') ?? 'auto';
  if (next) localStorage.setItem('theme', next);
  const isDark = chosen === 'dark' || (chosen === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
  root.dataset.theme = isDark ? 'dark' : 'light';
  at('theme').textContent = { auto: 'Auto', light: 'Light', dark: 'Dark' }[chosen];
  document.dispatchEvent(new Event('look'));
}
function showZone(utc) {
  useUtc(utc);
  localStorage.setItem('zone', utc ? 'utc' : 'local');
  at('zone').textContent = utc ? 'UTC' : 'Local';
  at('foot').textContent = `Times are in ${zone()}. Money is in the account's currency, after costs.`;
}

function open() {
  const name = SCREENS[location.hash.slice(1)] ? location.hash.slice(1) : 'now';
  current?.end?.();
  const screen = at('screen');
  screen.replaceChildren();
  for (const link of at('tabs').children) {
    if (link.dataset.name === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${SCREENS[name][0]} – vigie`;
  current = SCREENS[name][1].show(screen);
  current?.update?.('open');
}

function state() {
  const { guardian } = store.status ?? {};
  const silenced = guardian?.silenced ?? [];
  const banner = at('banner');
  const why = !store.connected ? 'The connection to this page is lost: what is shown may be old. It is tried again.'
    : !store.daemon.reachable && store.daemon.why !== '' ? `The daemon does not answer; the trader is on the baseline. ${store.daemon.why ?? ''}`
      : store.status?.drill ? 'This daemon is a drill: nothing it says is to be traded on.' : '';
  banner.textContent = why;
  banner.hidden = why === '';
  const shown = !store.status || !store.daemon.reachable || !store.connected ? tag('warn', 'not known')
    : !guardian ? tag('bad', 'the guardian is restarting') : guardian.lock !== null ? tag('bad', 'locked to the baseline')
      : silenced.length ? tag('bad', `silenced: ${silenced.join(', ')}`) : tag('good', 'serving');
  if (at('state').textContent !== shown.textContent) at('state').replaceChildren(shown);
  root.dataset.serving = shown.textContent;
}

takeToken();
at('tabs').append(...Object.entries(SCREENS).map(([name, [title]], place) =>
  h('a', { href: `#${name}`, 'data-name': name, title: `Key ${place + 1}` }, title)));
at('theme').addEventListener('click', () => theme(THEMES[(THEMES.indexOf(localStorage.getItem('theme') ?? 'auto') + 1) % 3]));
at('zone').addEventListener('click', () => { showZone(!isUtc()); open(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => theme());
addEventListener('hashchange', open);
addEventListener('keydown', (event) => {
  const isTyping = event.target.closest?.('input, textarea, select, dialog') || event.ctrlKey || event.metaKey || event.altKey;
  const name = Object.keys(SCREENS)[Number(event.key) - 1];
  if (!isTyping && name) location.hash = name;
});
const chosen = new URLSearchParams(location.search).get('theme');
theme(THEMES.includes(chosen) ? chosen : undefined);
showZone((localStorage.getItem('zone') ?? 'local') === 'utc');
listen((kind, data) => { state(); current?.update?.(kind, data); });
open();
begin();
fetchJson('/api/events?kind=shared&limit=2000').then(({ events }) => { learnShares(events); current?.update?.('open'); }).catch(() => {});
