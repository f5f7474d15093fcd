// Now: what is served and why, how far each rule is from its limit, and the orders that take models out of service.

import { ago, bytes, fetchJson, figure, fill, gauge, h, levelKind, list, money, number, panel, percent, stamp, symbolOf, table, tag, time, words } from './dom.js';
import { store } from './live.js';
import { ask } from './orders.js';

const shareOf = (version) => store.shares.get(version) ?? 1;

/** What is served and why, in a sentence: [kind, headline, more]. */
export function sentence(status) {
  const { guardian } = status ?? {};
  if (!status) return ['warn', 'Nothing is known of the daemon yet.', ''];
  if (!guardian) return ['bad', 'The guardian is restarting: every answer is the baseline.', ''];
  if (guardian.lock !== null) {
    const until = guardian.lock_until ? time(guardian.lock_until) : null;
    return ['bad', `Locked to the baseline${until ? ` until ${until}` : ''}: ${guardian.lock}.`,
      [until ? 'Every answer is the baseline until then, or until somebody resumes; the lock ends by itself.' : 'Every answer is the baseline until somebody resumes.',
        ...guardian.emergencies.filter((said) => !guardian.lock.includes(said))].join(' Emergency: ')];
  }
  const speaking = guardian.versions.filter((version) => ['production', 'ab_test'].includes(version.state) && !guardian.silenced.includes(symbolOf(version.version)));
  const said = speaking.map((version) => {
    const share = shareOf(version.version);
    // what a test takes is not left to the version in production
    const tested = speaking.filter((other) => other.state === 'ab_test' && symbolOf(other.version) === symbolOf(version.version))
      .reduce((sum, other) => sum + (status.limits?.ab_share ?? 0) * shareOf(other.version), 0);
    const held = status.limits ? (version.state === 'production' ? (1 - tested) * (1 - status.limits.holdback) : status.limits.ab_share) * share : null;
    const part = held === null ? '' : `, and influences ${percent(held, 0)} of the signals`;
    const cut = share < 1 ? ` (its share is cut to ${percent(share, 0)})` : '';
    return version.state === 'production' ? `${version.version} is in production${part}${cut}` : `${version.version} is under test${part}${cut}`;
  });
  const silenced = guardian.silenced.map((symbol) => `${symbol} is silenced by an emergency`);
  const held = status.limits && speaking.some((version) => version.state === 'production')
    ? `${percent(status.limits.holdback, 0)} of the signals are held back, to compare with.` : '';
  if (silenced.length) return ['bad', `${[...silenced, ...said].join('; ')}.`, guardian.emergencies.join('; ')];
  if (said.length) return ['good', `${said.join('; ')}.`, held];
  const watching = guardian.versions.filter((version) => version.state === 'staging').map((version) => version.version);
  return ['warn', 'No model speaks: every answer is the baseline.', watching.length ? `${watching.join(', ')} watches in staging.` : 'No version is in production or under test.'];
}

/** The accuracy of a version, the line it is taken down at, and over how many trades that holds. */
function accuracy(level) {
  const { below, line, haste } = level.accuracy_held;
  const held = [line ? `under ${percent(below, 1)} of its latest ${number(line.trades)} labelled trades${line.fewest < line.trades ? `, judged from ${number(line.fewest)} on` : ''}` : null,
    haste ? `under ${percent(below, 1)} of any latest sessions of ${number(haste)} trades, where chance does not explain how far it is below its validation` : null].filter(Boolean);
  return [level.accuracy === null ? h('p', { class: 'soft' }, 'Accuracy: no closed trade with a label yet')
    : gauge({ name: `Right, of ${number(level.labelled)} trades`, value: percent(level.accuracy), share: level.accuracy, near: 2, at: held.length ? below : null,
      limit: `${level.expected_accuracy === null ? '' : `expected ${percent(level.expected_accuracy)}`}${held.length ? `, line at ${percent(below, 1)}` : ''}`.replace(/^, /, '') }),
  h('p', { class: 'small soft' }, held.length ? `It is taken down ${held.join('; or ')}.` : 'No line is judged: its validation leaves no room above it.')];
}

/** What following it costs against the strategy alone: the bets on that, on the way to their limit; each step is a factor. */
function harm(level) {
  if (!level.harm) return h('p', { class: 'small soft' }, 'Harm is not judged: the lines hold as they are written, or nothing is known yet.');
  const { evidence, limit } = level.harm;
  return gauge({ name: 'Evidence that following it costs money', value: figure(evidence), limit: `of ${number(limit, 0)}`, share: Math.log1p(evidence) / Math.log1p(limit) });
}

/** A rule without a figure of its own above. */
function other({ rule, value, limit, unit }) {
  const said = unit === 'share' ? percent : figure;
  return gauge({ name: rule.replaceAll('_', ' '), value: said(value), limit: `limit ${said(limit)}`, share: limit ? value / limit : 0 });
}

function health(status) {
  if (!status?.guardian) return h('p', { class: 'empty' }, 'Nothing is known yet.');
  const levels = status.guardian.levels ?? [];
  if (levels.length === 0) return h('p', { class: 'empty' }, 'No version speaks, so no rule watches one.');
  return levels.map((level) => [
    h('h3', {}, level.version),
    gauge({ name: 'Losses in a row', value: number(level.loss_streak), limit: `of ${level.streak_limit} allowed`, share: level.loss_streak / level.streak_limit }),
    ...accuracy(level),
    harm(level),
    (level.rules ?? []).filter(({ rule }) => !['accuracy', 'loss_streak', 'harm'].includes(rule)).map(other),
    h('p', { class: 'small' }, `Following it in ${level.gain_trades} trades made ${money(level.made)}, `, `${money(level.gain)} against the strategy alone (what it let go has no outcome, and is not among them)`,
      level.would_gain_trades ? `; in ${number(level.would_gain_trades)} that did not hear it, following it would have made ${money(level.would_gain)} against the strategy.` : '.'),
    level.unwatched.map((why) => h('p', { class: 'small warn' }, `▲ ${why}`)),
  ]);
}

function day(status) {
  const pnl = status?.guardian?.day_pnl;
  if (!status) return h('p', { class: 'empty' }, '…');
  const limit = status.guardian?.day_loss_limit ?? status.limits?.day_loss;
  if (limit === undefined) return h('p', {}, `The account made ${pnl === undefined ? 'nothing yet' : money(pnl)}.`);
  const lost = Math.max(0, -(pnl ?? 0));
  return [gauge({ name: 'Loss of the trading day', value: number(lost, 0), limit: `of ${number(limit, 0)} allowed`, share: lost / limit }),
    h('p', { class: 'small' }, pnl === undefined ? 'No trade was closed yet in this trading day.' : `The account made ${money(pnl)} so far.`),
    h('p', { class: 'small soft' }, `The limit is that of the latest signal that carried one, or else of the configuration.${status.limits?.time_zone ? ` Trading days are those of ${status.limits.time_zone}.` : ''}`)];
}

function service(status) {
  const states = ['production', 'ab_test', 'staging'];
  const rows = (status?.guardian?.versions ?? []).filter((version) => states.includes(version.state))
    .sort((a, b) => states.indexOf(a.state) - states.indexOf(b.state))
    .map((version) => [h('a', { href: '#versions' }, version.version), version.state.replace('_', ' '), percent(version.state === 'staging' ? 0 : shareOf(version.version), 0),
      [version.scoring ? tag('good', 'scores') : tag('bad', 'does not score'), ' ', version.overridden ? tag('warn', 'override') : '']]);
  return table([{ name: 'version' }, { name: 'state' }, { name: 'share', n: true }, { name: '' }], rows, status?.guardian ? 'Nothing is in service.' : 'Nothing is known yet.');
}

function machine(status) {
  if (!status) return h('p', { class: 'empty' }, '…');
  const { scorer, journal, storage, monitor, counts } = status;
  const answered = Object.entries(scorer?.by_reason ?? {}).sort((a, b) => b[1] - a[1]).map(([reason, count]) => `${reason} ${number(count)}`);
  const us = (value) => (value === null || value === undefined ? '–' : `${number(value, 0)} µs`);
  return list([
    ['answered', scorer ? `${number(scorer.answered)}${answered.length ? `: ${answered.join(', ')}` : ''}` : 'the scorer is restarting'],
    ['time to decide', scorer ? `half within ${us(scorer.p50_us)}, 99 % within ${us(scorer.p99_us)}, longest ${us(scorer.max_us)}` : '–'],
    ['journal', [journal.ok ? tag('good', 'in order') : tag('bad', `failing: ${journal.error}`), ` ${storage ? bytes(storage.bytes) : ''}${journal.dropped ? `, ${journal.dropped} signals dropped` : ''}`]],
    ['backup', storage?.backup ? `${ago(storage.backup.age_s)} ago` : tag('warn', 'never')],
    ['records', counts ? `${number(counts.signals)} signals, ${number(counts.outcomes)} outcomes, ${number(counts.versions)} versions` : '–'],
    ['monitor', monitor ? `${monitor.open} signals open, ${monitor.alarms.length} conditions hold` : 'busy'],
    ['parts rebuilt', status.restarts ? tag('warn', number(status.restarts)) : '0'],
    ['up', `${ago(status.uptime_s)}, version ${status.version}, configuration ${status.config_hash}`],
  ], { class: 'wide' });
}

function alerts(found) {
  return table([{ name: 'time', t: true }, { name: 'level' }, { name: 'alert', words: true }],
    found.slice(-12).reverse().map((event) => [stamp(event.at), tag(levelKind(event.level), event.level), words(event)]), 'No alert.');
}

export function show(root) {
  let older = [];
  const head = panel('', { class: 'is-good', id: 'serving', 'aria-live': 'polite' });
  const [rules, today, versions, figures, latest] = [h('div'), h('div'), h('div'), h('div'), h('div')];
  const orders = ['lock', 'kill', 'resume'].map((order) => h('button', { type: 'button', id: `do-${order}`, class: order === 'resume' ? '' : 'danger', onclick: () => ask(order) },
    { lock: 'Lock…', kill: 'Kill…', resume: 'Resume…' }[order]));
  root.append(h('div', { class: 'grid' }, head,
    panel('Emergency rules: how far from their limits', { class: 'two-thirds' }, rules),
    h('div', { class: 'panel third' }, h('h2', {}, 'Today'), today, h('h2', {}, 'Orders'), h('div', { class: 'row' }, orders)),
    panel('In service', { class: 'half' }, versions), panel('The daemon', { class: 'half' }, figures),
    panel('Latest alerts', {}, latest)));
  fetchJson('/api/events?kind=alert&limit=12').then(({ events }) => { older = events; draw(); }).catch(() => {});
  function draw() {
    const { status } = store;
    const [kind, text, more] = sentence(status);
    const isOld = status && !(store.connected && store.daemon.reachable);
    head.className = `panel is-${isOld ? 'warn' : kind}`;
    fill(head, h('p', { class: 'headline' }, isOld ? `As last known: ${text}` : text), more !== '' && h('p', { class: 'sub' }, more));
    const known = new Set(older.map((event) => event.seq));
    fill(rules, health(status));
    fill(today, day(status));
    versions.replaceChildren(service(status));
    figures.replaceChildren(machine(status));
    latest.replaceChildren(alerts([...older, ...store.events.filter((event) => event.event === 'alert' && !known.has(event.seq))].sort((a, b) => a.seq - b.seq)));
  }
  return { update: (kind) => { if (kind !== 'heartbeat' && kind !== 'decision') draw(); } };
}
