// Learning: what is being trained, what was tried, and what came of it.

import { fetchJson, figure, fill, gauge, h, list, number, panel, stamp, table, tag, words } from './dom.js';
import { chart } from './chart.js';

const seconds = (text) => new Date(text).getTime() / 1000;

function running(training) {
  const { running: job, last } = training;
  return [
    job ? [gauge({ name: `Training ${job.number}: ${job.stage ?? ''}`, value: `${number(100 * job.share, 0)} %`, limit: 'done', share: job.share, near: 2 }),
      list([['since', stamp(job.since)], ['why', job.reason], ['job', JSON.stringify(job.job)]])]
      : h('p', {}, 'No training is under way.'),
    last ? [h('h3', {}, `Training ${last.number}, the last one`),
      list([['ended', stamp(last.at)], ['version', last.version ?? '–'], ['registered', last.registered ? tag('good', 'yes') : tag('plain', 'no')],
        last.refused && ['refused', `${last.refused.code}: ${last.refused.message}`]]),
      last.report ? checks(last.report) : null] : h('p', { class: 'small soft' }, 'None since the daemon began to serve. `vigie train` orders one.'),
  ];
}
function checks(report) {
  const found = report.checks ?? report.gates ?? [];
  return table([{ name: 'check' }, { name: 'value', n: true }, { name: 'limit', n: true }, { name: '' }],
    found.map((check) => [String(check.name ?? check.check ?? '').replaceAll('_', ' '), figure(check.value), figure(check.limit), check.passed === undefined ? '' : check.passed ? tag('good', 'passed') : tag('bad', 'failed')]), 'The report lists no check.');
}

export function show(root) {
  const charts = [];
  const [training, ledger, skill, course] = [h('div'), h('div'), panel('Skill of what was tried', { class: 'half' }), h('div')];
  root.append(h('div', { class: 'grid' }, panel('Training', { class: 'half', id: 'training' }, training), skill,
    panel('Ledger: everything that was ever tried', {}, ledger), panel('Versions and steps, newest first', {}, course)));
  let last = '';
  const load = () => {
    fetchJson('/api/training').then((answer) => fill(training, running(answer.training)))
      .catch((error) => training.replaceChildren(h('p', { class: 'empty' }, error.message)));
    fetchJson('/api/events?kind=tried,trained,moved,imported&limit=5000').then(({ events }) => {
      const text = `${events.length} ${events.at(-1)?.seq}`;
      if (text === last) return;
      last = text;
      const tried = events.filter((event) => event.event === 'tried');
      ledger.replaceChildren(table([{ name: 'time', t: true }, { name: 'symbol' }, { name: 'predicts' }, { name: 'model' }, { name: 'trades', n: true }, { name: 'configurations', n: true }, { name: 'skill', n: true }, { name: 'version' }],
        tried.slice(-100).reverse().map((event) => [stamp(event.at), event.symbol, event.target, event.model, number(event.closed_trades), number(event.configurations), figure(event.skill), event.version ?? 'none registered']),
        'Nothing was tried yet.'));
      course.replaceChildren(table([{ name: 'time', t: true }, { name: 'event' }, { name: 'what', words: true }],
        events.filter((event) => event.event !== 'tried').slice(-60).reverse().map((event) => [stamp(event.at), event.event, words(event)]), 'Nothing yet.'));
      charts.splice(0).forEach((made) => made.destroy());
      const scored = tried.filter((event) => Number.isFinite(event.skill));
      skill.replaceChildren(h('h2', {}, 'Skill of what was tried'));
      if (scored.length < 2) {
        skill.append(h('p', { class: 'empty' }, scored.length ? `One try so far, with a skill of ${figure(scored[0].skill)} on trades it had not seen.` : 'Nothing was tried yet.'));
        return;
      }
      const made = chart({ title: 'skill', unit: 'skill on unseen trades', x: scored.map((event) => seconds(event.at)), series: [{ name: 'skill', values: scored.map((event) => event.skill) }] });
      charts.push(made);
      skill.append(made.node);
    }).catch(() => {});
  };
  load();
  const timer = setInterval(load, 4000);
  return { update: () => {}, end: () => { clearInterval(timer); charts.forEach((made) => made.destroy()); } };
}
